import BusbarDriver
import BusbarDriverThread

/// One connection for a few requests, apart from any link.
enum RabbitMQErrand {
    /// - Returns: what the broker says of itself, when it has answered all requests.
    static func run(
        _ requests: [AMQPRequest], of configuration: RabbitMQConfiguration
    ) async throws(DriverError) -> BrokerFacts {
        let watch = SocketWatch(limit: configuration.requestLimit)
        let thread = try DriverThread(name: "errand") { Runner() }
        let result: Result<BrokerFacts, DriverError> = await thread.call(during: "run") { runner, answer in
            guard let host = configuration.hosts.first else { return }
            do throws(DriverError) {
                let connection = try AMQPDialer(configuration: configuration, watch: watch).dial(host, for: "an errand")
                runner.start(connection, requests, within: configuration.requestLimit, answer)
            } catch {
                answer(.failure(error))
            }
        }
        await thread.stop()
        return try result.get()
    }

    private final class Runner: ThreadResident {
        private var connection: AMQPConnection?
        private var deadline: ContinuousClock.Instant?
        private var answer: ((Result<BrokerFacts, DriverError>) -> Void)?
        private var awaited = 0

        func start(
            _ connection: AMQPConnection, _ requests: [AMQPRequest], within limit: Duration,
            _ answer: @escaping (Result<BrokerFacts, DriverError>) -> Void
        ) {
            let deadline = ContinuousClock.now + limit
            self.connection = connection
            self.deadline = deadline
            self.answer = answer
            self.awaited = requests.count + 1
            for request in [.openChannel] + requests {
                connection.send(request, on: 1, by: deadline) { [unowned self] result in
                    if case .failure(let fault) = result {
                        return self.finish(.failure(fault.driverError(during: "run")))
                    }
                    self.awaited -= 1
                    if self.awaited == 0 { self.finish(.success(connection.brokerFacts)) }
                }
            }
        }

        func waits() -> ThreadWaits {
            guard let connection = self.connection, connection.fault == nil else { return ThreadWaits() }
            return ThreadWaits(
                sockets: [SocketWait(connection.descriptor, reading: true, writing: false)], deadline: self.deadline)
        }

        func turn(_ ready: ReadySockets) {
            self.connection?.receive()
            guard let deadline = self.deadline, deadline <= .now else { return }
            self.finish(.failure(.lost("RabbitMQ didn't answer in time")))
        }

        func stop() { self.finish(.failure(.lost("the errand was given up"))) }

        private func finish(_ result: Result<BrokerFacts, DriverError>) {
            let answer = self.answer
            self.answer = nil
            self.deadline = nil
            answer?(result)
            self.connection?.close(.lost("the errand is over"))
        }
    }
}
