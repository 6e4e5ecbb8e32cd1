import CRawBrokers

/// One process of a measurement of a backplane; the script `backplane` starts two or more of them.
///
/// Those that hear say "ready", hear COUNT messages and report; those that publish report what they sent. RATE is in messages per
/// second, 0 means as fast as it goes.
@main
enum Main {
    private static let usage = """
        usage: backplane ROLE URL …
          raw-subscribe URL COUNT CHANNEL            driver-subscribe URL COUNT          bus-subscribe URL COUNT
          raw-publish URL COUNT RATE WINDOW CHANNEL  driver-publish URL COUNT RATE       bus-publish URL COUNT RATE TASKS
          script URL COUNT WINDOW WORDS…             bus-listen URL
        bus-publish may be followed by SECONDS START: so many seconds of messages and as many without take turns from START on,
        a Unix time.
        """

    static func main() async throws {
        var words = CommandLine.arguments.dropFirst()
        guard let role = words.popFirst(), let url = words.popFirst() else { fail(self.usage) }
        func number() -> Int {
            guard let number = words.popFirst().flatMap({ Int($0) }) else { fail(self.usage) }
            return number
        }
        switch role {
        case "raw-subscribe":
            let count = number()
            Raw.consume(url, words.first ?? "benchmark", count: count)
        case "raw-publish":
            let (count, rate, window) = (number(), number(), number())
            Raw.publish(url, words.first ?? "benchmark", count: count, rate: rate, window: window)
        case "script":
            let (count, window) = (number(), number())
            Raw.script(url, count: count, window: window, words: Array(words))
        case "driver-subscribe": try await DriverAlone.consume(url, count: number())
        case "driver-publish": try await DriverAlone.publish(url, count: number(), rate: number())
        case "bus-subscribe": try await Node.consume(url, count: number())
        case "bus-listen": try await Node.consume(url, count: nil)
        case "bus-publish":
            let (count, rate, tasks) = (number(), number(), number())
            let turns = words.isEmpty ? nil : Turns(seconds: number(), start: number())
            try await Node.publish(url, count: count, rate: rate, tasks: tasks, turns: turns)
        default: fail(self.usage)
        }
    }
}
