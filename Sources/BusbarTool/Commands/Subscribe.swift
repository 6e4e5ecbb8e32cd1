import ArgumentParser
import Busbar
import NIOCore
import UnixSignals

/// `busbar subscribe`: the messages of a topic, each with the cursor behind it, from a process that serves nobody.
struct Subscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the messages of a topic, each with the cursor that stands after it.",
        discussion: """
            One line for each message: the cursor, a tab, the text with control characters escaped. '--from CURSOR' \
            resumes there, in any later run with the same key: exactly what came after it follows. Messages that a \
            busy node packed together share a place; the last of them has the cursor, the others '-'.

            Notices go to standard error: where listening begins, and every gap, that is, messages which can't be had \
            any more.
            """
    )

    @OptionGroup var options: CommonOptions

    @Option(
        help: "Where to resume: a cursor as this command printed it. Without one it begins with what comes from now on."
    )
    var from: String?

    @Option(help: "End after this many messages.")
    var count: Int?

    @Option(help: "End after this many seconds; with --count that is a failure.")
    var timeout: Double?

    @Argument(help: "What to listen to.")
    var topic: String

    func validate() throws {
        if self.from == "-" {
            throw ValidationError("--from needs a cursor; '-' marks a message that shares the next one's place")
        }
        if let count = self.count, count < 1 { throw ValidationError("--count must be at least 1, not \(count)") }
        if let timeout = self.timeout, !(timeout > 0 && timeout <= 1e6) {
            throw ValidationError("--timeout must be more than 0 and at most 1000000 seconds, not \(timeout)")
        }
    }

    private enum Ending { case counted, timedOut, stopped, over }

    func run() async throws {
        let settings = try await self.options.settings()
        let command = self
        let ending = try await withThrowingTaskGroup(of: Ending.self) { group in
            group.addTask {
                try await BusVisit.run(settings) { bus, _ in try await command.listen(bus) }
            }
            group.addTask {
                let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
                for await _ in signals { return .stopped }
                return .over
            }
            if let timeout = command.timeout {
                group.addTask {
                    do { try await Task.sleep(for: .seconds(timeout)) } catch { return .over }
                    return .timedOut
                }
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .over
        }
        if case .timedOut = ending, let count = self.count {
            throw ToolError.failure("fewer than \(count) messages came within \(self.timeout ?? 0) seconds")
        }
    }

    private func listen(_ bus: Bus) async throws -> Ending {
        var limits = SubscriberLimits()
        limits.deliveryBytes = 1
        let cursor = self.from.map { Cursor(text: $0) }
        let subscription = try await bus.subscribe(to: [Topic(self.topic)], from: cursor, limits: limits)
        Console.errorLine("listening to '\(self.topic)' from \(cursor ?? subscription.cursor)")
        var left = self.count
        for try await delivery in subscription {
            for gap in delivery.gaps { Console.errorLine("\(gap)") }
            for (index, message) in delivery.messages.enumerated() {
                let isLast = index == delivery.messages.count - 1
                let place = isLast ? bus.cursor(at: delivery.frontier).text : "-"
                Console.line(place + "\t" + Self.shown(message.payload))
                left = left.map { $0 - 1 }
                if left == 0 { return .counted }
            }
        }
        return .over
    }

    /// A payload as one line of text.
    private static func shown(_ payload: ByteBuffer) -> String {
        String(buffer: payload).unicodeScalars.reduce(into: "") { line, scalar in
            switch scalar {
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                line += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: line.unicodeScalars.append(scalar)
            }
        }
    }
}
