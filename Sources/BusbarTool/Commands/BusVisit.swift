import Busbar
import BusbarDriver
import Logging

/// A bus for the length of one command: for a process that serves nobody.
enum BusVisit {
    /// Runs a bus on the broker that `settings` name while `body` uses it.
    /// - Throws: ``ToolError`` when the broker can't be used, else what `body` throws.
    static func run<Result: Sendable>(
        _ settings: Settings, _ body: @escaping @Sendable (Bus, Backplane) async throws -> Result
    ) async throws -> Result {
        let backplane = try Backplane(settings)
        guard backplane.registration.reach == .broker else {
            throw ToolError.usage(
                "backplane \(backplane.url) reaches this process only, so nobody would hear; name a broker, such as "
                    + "--backplane \(try Doctor.exampleOfBroker())")
        }
        // Why a key of its own: without a configured one, cursors printed here would be good in no later run. Whoever
        // runs this may read the broker anyway, and nodes with a real key take such a cursor for the foreign one it is.
        let key = try Backplane.farmKey(settings) ?? FarmKey(secret: "busbar on the command line, app \(backplane.app)")
        let bus = Bus(
            driver: try backplane.makeDriver(),
            configuration: backplane.busConfiguration(key: key),
            logger: Logger(label: "busbar", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                do {
                    try await bus.run()
                    return nil
                } catch let error as BusError {
                    throw ToolError.failure("backplane \(backplane.url): \(error.detail)")
                }
            }
            group.addTask {
                do {
                    return try await body(bus, backplane)
                } catch let error as BusError where error.code == .closed {
                    // Why nothing: the bus has ended under it, and knows the reason.
                    return nil
                } catch let error as BusError {
                    let why = bus.status.detail.map { "; \($0)" } ?? ""
                    throw ToolError.failure("backplane \(backplane.url): \(error.detail)\(why)")
                }
            }
            // Why a loop: the bus, too, ends when it is closed.
            while let ended = try await group.next() {
                guard let result = ended else { continue }
                await bus.close(deadline: .seconds(1))
                group.cancelAll()
                return result
            }
            throw ToolError.failure("backplane \(backplane.url): the bus has stopped")
        }
    }
}
