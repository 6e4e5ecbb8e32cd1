/// Makes the instance of a hub for one call or event.
enum HubFactory<H: Hub>: Sendable {
    /// By the hub's own initializer. Why a case: an `await` that never waits still costs every call.
    case initializer
    case application(@Sendable (HubCall) async throws -> H)

    func make(_ call: HubCall) async throws(HubFailure) -> H {
        switch self {
        case .initializer:
            return H(call)
        case .application(let factory):
            do {
                return try await factory(call)
            } catch {
                throw HubFailure(factory: error)
            }
        }
    }
}
