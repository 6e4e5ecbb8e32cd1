import Busbar
import BusbarHub
import BusbarServer
import Logging
import NIOCore
import ServiceLifecycle
import Testing

/// A server on a free port of the loopback interface for as long as a test's body runs.
struct TestServer: Sendable {
    let port: Int
    let server: BusbarServer
    private let group: ServiceGroup

    /// Asks the server to stop in good order. Returns at once.
    func stop() async {
        await self.group.triggerGracefulShutdown()
    }

    /// Waits until nothing of any connection is left: no session, no registry entry, no socket.
    func waitUntilNothingIsLeft(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        var left = ""
        repeat {
            let census = await self.server.runtime.census()
            let open = self.server.connectionCount, watched = await self.server.watchedConnectionCount()
            if census == RuntimeCensus(), open == 0, watched == 0 { return }
            left = "\(census), \(open) open, \(watched) watched"
        } while ContinuousClock.now < deadline
        Issue.record("left behind: \(left)", sourceLocation: sourceLocation)
    }

    func connect() async throws -> RawClient {
        try await RawClient.connect(port: self.port)
    }

    /// One request on a connection of its own.
    func get(_ target: String, method: String = "GET", fields: [String] = []) async throws -> RawResponse {
        let client = try await self.connect()
        defer { client.close() }
        return try await client.get(target, method: method, fields: fields)
    }

    static func run<Result: Sendable>(
        hubs: [HubRegistration] = [.hub(EchoHub.self, path: "/echo")],
        persistentConnections: [PersistentConnectionRegistration] = [],
        pipeline: HubPipeline = .init(),
        hubConfiguration: HubConfiguration = .init(),
        bus: Bus? = nil,
        _ configure: (inout ServerConfiguration) -> Void = { _ in },
        body: @escaping @Sendable (TestServer) async throws -> Result
    ) async throws -> Result {
        var configuration = ServerConfiguration()
        configuration.port = 0
        configure(&configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let server = try BusbarServer(
            bus: bus ?? TestBus.make(logger: logger), hubs: hubs, persistentConnections: persistentConnections,
            pipeline: pipeline, configuration: configuration, hubConfiguration: hubConfiguration, logger: logger)
        let port = try await server.bind()
        let group = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: logger))
        return try await withThrowingTaskGroup(of: Result?.self) { tasks in
            tasks.addTask {
                do {
                    try await group.run()
                } catch is CancellationError {}
                return nil
            }
            tasks.addTask { try await body(TestServer(port: port, server: server, group: group)) }
            var found: Result?
            while let result = try await tasks.next() {
                if let result {
                    found = result
                    tasks.cancelAll()
                }
            }
            guard let found else { throw ServerStoppedEarly() }
            return found
        }
    }
}

struct ServerStoppedEarly: Error {}

/// What most tests talk to.
struct EchoHub: Hub {
    let call: HubCall

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("send", self.send), HubMethod("echo", self.echo), HubMethod("slow", self.slow),
            HubMethod("tell", self.tell),
        ]
    }

    func send(text: String) async throws {
        try await self.clients.all.messageReceived(text)
    }

    func echo(text: String) -> String { text }

    func tell(user: String, text: String) async throws {
        try await self.clients.user(user).heard(text)
    }

    /// Ends only with its connection.
    func slow() async {
        await self.context.aborted()
    }
}
