import BusbarDriver
import NIOCore
import NIOPosix

/// Opens connections, asking Sentinels for the address where there are some. Confined to its event loop.
final class RedisDialer {
    typealias Pair = (requests: RedisConnection, receiver: RedisConnection)

    private let configuration: RedisConfiguration
    private let loop: any EventLoop
    /// Why kept: reading certificates and preparing their use takes milliseconds.
    private var tls: RedisTLS?
    /// Goes before what the configuration says.
    var guide = ClusterGuide()
    /// Where the last connections lead; a cluster's node names itself by nothing.
    private(set) var host = "127.0.0.1"

    init(configuration: RedisConfiguration, loop: any EventLoop) {
        self.configuration = configuration
        self.loop = loop
    }

    /// Opens one connection, for what needs no link.
    func dialOne(completion: @escaping (Result<RedisConnection, DriverError>) -> Void) {
        self.resolve { result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let address):
                self.dial(address, within: self.configuration.requestLimit, completion: completion)
            }
        }
    }

    /// Opens both connections of a link, or neither.
    func dialPair(completion: @escaping (Result<Pair, DriverError>) -> Void) {
        self.resolve { result in
            let address: RedisAddress
            switch result {
            case .failure(let error): return completion(.failure(error))
            case .success(let resolved): address = resolved
            }
            var connections: [RedisConnection] = []
            var failure: DriverError?
            var awaited = 2
            for _ in 0..<2 {
                self.dial(address, within: self.configuration.requestLimit) { result in
                    awaited -= 1
                    switch result {
                    case .success(let connection): connections.append(connection)
                    case .failure(let error): failure = error
                    }
                    guard awaited == 0 else { return }
                    guard let failure else { return completion(.success((connections[0], connections[1]))) }
                    for connection in connections { connection.close(failure) }
                    completion(.failure(failure))
                }
            }
        }
    }

    // MARK: Addresses

    private enum RedisAddress: CustomStringConvertible {
        case tcp(host: String, port: Int)
        case unixSocket(String)

        var description: String {
            switch self {
            case .tcp(let host, let port): "\(host):\(port)"
            case .unixSocket(let path): path
            }
        }
    }

    private func resolve(completion: @escaping (Result<RedisAddress, DriverError>) -> Void) {
        if let node = self.guide.next { return completion(.success(.tcp(host: node.host, port: node.port))) }
        switch self.configuration.server {
        case .tcp(let host, let port): completion(.success(.tcp(host: host, port: port)))
        case .unixSocket(let path): completion(.success(.unixSocket(path)))
        case .sentinel(let hosts, let name):
            // Why a share each: a Sentinel that swallows everything must leave time for the next one within the step's
            // limit.
            let limit = self.configuration.requestLimit / (hosts.count + 1)
            self.ask(hosts[...], for: name, within: limit, completion: completion)
        }
    }

    /// Asks one Sentinel after the other until one knows the primary.
    private func ask(
        _ hosts: ArraySlice<RedisConfiguration.HostPort>,
        for name: String,
        within limit: Duration,
        completion: @escaping (Result<RedisAddress, DriverError>) -> Void
    ) {
        guard let host = hosts.first else {
            return completion(.failure(.lost("none of the Sentinels knows where the primary \"\(name)\" is")))
        }
        let next = { self.ask(hosts.dropFirst(), for: name, within: limit, completion: completion) }
        self.dial(.tcp(host: host.host, port: host.port), within: limit) { result in
            guard case .success(let connection) = result else { return next() }
            let (user, password) = (self.configuration.sentinelUser, self.configuration.sentinelPassword)
            if let login = CommandArguments.login(user, password) { connection.send(login, within: limit) { _ in } }
            let question = CommandArguments("get-master-addr-by-name", name).command("SENTINEL")
            connection.send(question, within: limit) { answer in
                defer { connection.close(.lost("answered")) }
                guard case .success(let reply) = answer, let parts = reply.array, parts.count == 2,
                    let host = parts[0].text,
                    let port = parts[1].text.flatMap({ Int($0) })
                else { return next() }
                completion(.success(.tcp(host: host, port: port)))
            }
        }
    }

    private func dial(
        _ address: RedisAddress, within limit: Duration,
        completion: @escaping (Result<RedisConnection, DriverError>) -> Void
    ) {
        var tls: RedisTLS?
        do throws(DriverError) { tls = try self.preparedTLS() } catch { return completion(.failure(error)) }
        if case .tcp(let host, _) = address { self.host = host }
        let bootstrap = ClientBootstrap(group: self.loop)
            .connectTimeout(TimeAmount(limit))
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { [tls] channel in
                channel.eventLoop.makeCompletedFuture {
                    if case .tcp(let host, _) = address { try tls?.secure(channel, host: host) }
                    try channel.pipeline.syncOperations.addHandler(RedisConnection())
                }
            }
        let channel =
            switch address {
            case .tcp(let host, let port):
                bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
            case .unixSocket(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        channel.assumeIsolated().whenComplete { result in
            let connection = result.flatMap { channel in
                Result { try channel.pipeline.syncOperations.handler(type: RedisConnection.self) }
            }
            completion(connection.mapError { .lost("can't connect to \(address): \($0)") })
        }
    }

    private func preparedTLS() throws(DriverError) -> RedisTLS? {
        guard self.tls == nil, let settings = self.configuration.tls else { return self.tls }
        let tls = try RedisTLS(settings)
        self.tls = tls
        return tls
    }
}
