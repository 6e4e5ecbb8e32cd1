import BusbarProtocol

/// Tells a classic client how far its call has come. A hub method that reports takes one as its last parameter:
///
/// ```swift
/// func importAll(_ files: [String], progress: ProgressReporter<Int>) async throws -> Int {
///     for (index, file) in files.enumerated() {
///         try await self.load(file)
///         try await progress.report(100 * (index + 1) / files.count)
///     }
///     return files.count
/// }
/// ```
///
/// ```js
/// chat.server.importAll(files).progress((percent) => show(percent)).done((count) => done(count));
/// ```
///
/// It counts as no parameter when a call chooses among overloads. Clients older than 2.1, and core clients, hear
/// nothing of it. `Decodable` only lets it stand among the parameters; nothing a client sends is read as one.
public struct ProgressReporter<Value: Encodable & Sendable>: Sendable, Decodable {
    private let call: HubCall

    init(_ call: HubCall) { self.call = call }

    /// Fails: a reporter belongs to a call, and is nothing that a client could send.
    public init(from decoder: any Decoder) throws {
        throw DecodingError.dataCorrupted(
            DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "a progress reporter isn't sent"))
    }

    /// Sends `value` to the client, ahead of whatever the method sends or returns afterwards. Returns once the bus has
    /// accepted it: report what somebody watches, not every step of a tight loop.
    /// - Throws: ``HubSendError`` `argumentNotEncodable`, `invocationCompleted` once the method has returned, or what the
    ///   bus refused with.
    public func report(_ value: Value) async throws(HubSendError) {
        guard let exchange = self.call.exchange else { return }
        guard !exchange.isCompleted else {
            throw HubSendError(
                .invocationCompleted,
                "You cannot report progress on a hub method invocation that has already completed.")
        }
        guard let id = exchange.invocationID else { return }
        let text: JSONValueText
        do throws(JSONCodingError) {
            text = try JSONValueText(encoding: value)
        } catch {
            throw HubSendError(.argumentNotEncodable, "progress: \(error.detail)")
        }
        let report = ProgressReport(invocationID: id, value: text, callerState: exchange.stateChanges)
        let message = HubMessage(
            hub: self.call.sender.hub, audience: .connection(self.call.context.id), body: .progress(report))
        try await self.call.sender.publisher.publish(message)
    }
}

/// A parameter that is made from the call instead of being read from its arguments.
protocol CallParameter {
    init(_ call: HubCall)
}

extension ProgressReporter: CallParameter {}
