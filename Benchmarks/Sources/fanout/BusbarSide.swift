final class BusbarSide: Side {
    let crowd: Crowd
    let bare: BareSide
    init(loop: MeasuredLoop, connections: Int) async throws {
        self.bare = try await BareSide(loop: loop, connections: connections)
        self.crowd = self.bare.crowd
    }
    func broadcast(_ messages: Int) async throws { try await self.bare.broadcast(messages, joined: true)}
    func stop() async throws {try await self.bare.stop()}
}
