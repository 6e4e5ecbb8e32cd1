import BusbarDriver
import NIOCore
import NIOPosix

/// A few questions to a Redis outside of any link: over a connection of their own, logged in, in the right database.
enum RedisErrand {
    /// Sends all questions at once and returns their answers, error replies included, in order. If a cluster's node says that
    /// another one holds the keys, all are sent there instead.
    /// - Throws: ``DriverError`` when there is no connection, or login is refused.
    static func ask(
        _ questions: [ByteBuffer], of configuration: RedisConfiguration
    ) async throws(DriverError) -> [RedisReply] {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let result = await withCheckedContinuation {
            (done: CheckedContinuation<Result<[RedisReply], DriverError>, Never>) in
            loop.execute {
                let dialer = RedisDialer(configuration: configuration, loop: loop)
                Self.ask(questions, by: dialer, configuration, moves: 3) { done.resume(returning: $0) }
            }
        }
        return try result.get()
    }

    private static func ask(
        _ questions: [ByteBuffer], by dialer: RedisDialer, _ configuration: RedisConfiguration, moves: Int,
        completion: @escaping (Result<[RedisReply], DriverError>) -> Void
    ) {
        dialer.dialOne { result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let connection):
                Self.converse(questions, on: connection, configuration) { result in
                    let home = (try? result.get())?.lazy.compactMap { $0.home(asked: dialer.host) }.first
                    guard moves > 0, let home else { return completion(result) }
                    dialer.guide.moved(to: home)
                    Self.ask(questions, by: dialer, configuration, moves: moves - 1, completion: completion)
                }
            }
        }
    }

    private static func converse(
        _ questions: [ByteBuffer], on connection: RedisConnection, _ configuration: RedisConfiguration,
        completion: @escaping (Result<[RedisReply], DriverError>) -> Void
    ) {
        let secrets = [configuration.password].compactMap(\.self)
        let greetings = [
            CommandArguments.login(configuration.user, configuration.password),
            configuration.database == 0
                ? nil : CommandArguments(String(configuration.database)).command("SELECT"),
        ].compactMap(\.self)
        var replies: [RedisReply] = []
        var outcome: Result<[RedisReply], DriverError>?
        let end = { (result: Result<[RedisReply], DriverError>) in
            guard outcome == nil else { return }
            outcome = result
            connection.close(.lost("answered"))
            completion(result)
        }
        for (index, command) in (greetings + questions).enumerated() {
            connection.send(command, within: configuration.requestLimit) { answer in
                switch answer {
                case .failure(let error): end(.failure(error))
                case .success(.error(let error)) where index < greetings.count:
                    end(.failure(error.driverError(during: "run", hiding: secrets)))
                case .success(let reply):
                    if index >= greetings.count { replies.append(reply) }
                    if replies.count == questions.count { end(.success(replies)) }
                }
            }
        }
    }
}

extension RedisReply {
    fileprivate func home(asked: String) -> RedisConfiguration.HostPort? {
        if case .error(let error) = self { error.movedTo(asked: asked) } else { nil }
    }
}

extension CommandArguments {
    /// `AUTH`, where there is something to say.
    static func login(_ user: String?, _ password: Secret?) -> ByteBuffer? {
        guard let password else { return nil }
        return [user, password.text].compactMap(\.self).reduce(into: CommandArguments()) { $0.append($1) }
            .command("AUTH")
    }
}
