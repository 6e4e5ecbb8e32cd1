/// What an application's clients can do, as a Swift type, so that the compiler checks every call to them.
///
/// ```swift
/// struct ChatClient: ClientContract {
///     let proxy: ClientProxy
///
///     init(_ proxy: ClientProxy) { self.proxy = proxy }
///
///     func messageReceived(_ text: String) async throws {
///         try await self.proxy.messageReceived(text)
///     }
///
///     func confirm(_ question: String) async throws -> Bool {              // of one client only
///         try await self.proxy.confirm.invoke(question, returning: Bool.self)
///     }
/// }
///
/// try await clients.typed(ChatClient.self).all.messageReceived("hello")
/// ```
///
/// A hub that speaks no other way can declare
/// `var chat: TypedCallerClients<ChatClient> { self.clients.typed(ChatClient.self) }`.
public protocol ClientContract: Sendable {
    /// Makes the contract speak to the clients behind `proxy`.
    init(_ proxy: ClientProxy)
}
