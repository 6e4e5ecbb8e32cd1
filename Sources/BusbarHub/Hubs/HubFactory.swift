/// Makes the instance of a hub for one call or event.
struct HubFactory<H: Hub>: Sendable {
    let body: @Sendable (HubCall) async throws -> H

    func make(_ call: HubCall) async throws(HubFailure) -> H {
        do {
            return try await self.body(call)
        } catch {
            throw HubFailure(factory: error)
        }
    }
}
