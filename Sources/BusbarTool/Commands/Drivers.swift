import ArgumentParser
import BusbarDriver

/// `busbar drivers`: what backplanes this build has, and what each promises.
struct Drivers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the drivers of this build: URL schemes, guarantees and limits."
    )

    func run() async throws {
        let drivers = try DriverRegistry.builtIn()
        for registration in drivers.registrations {
            Console.line("\(registration.name): \(registration.summary)")
            let example = try BackplaneURL(registration.example)
            let guarantees = try drivers.makeDriver(for: example, app: "busbar").guarantees
            for (key, value) in Self.facts(registration, guarantees) {
                Console.line("  " + (key + ":").padded(to: 12) + value)
            }
        }
    }

    private static func facts(_ registration: DriverRegistration, _ guarantees: Guarantees) -> [(String, String)] {
        [
            ("schemes", registration.schemes.map { $0 + ":" }.joined(separator: " ")),
            ("example", "--backplane \(registration.example)"),
            (
                "reaches",
                registration.reach == .process ? "this process only" : "every node that names the same broker and app"
            ),
            ("order", "every node hears a stream in the same order"),
            (
                "losses",
                guarantees.counting == .withoutHoles
                    ? "offsets count without holes: a loss is seen at once, and repaired from the log or reported"
                    : "offsets may jump: a live link skips nothing and continues after the last offset"
            ),
            ("replay", guarantees.replays ? "yes: cursors resume as far back as the log reaches" : "no"),
            (
                "restart",
                guarantees.durability == .process
                    ? "the log may be gone with the process, and is then reported"
                    : "the log survives as the broker's own persistence is set"
            ),
            (
                "repeats",
                guarantees.refusesRepeats ? "a repeated append is stored once" : "dropped by whoever receives them"
            ),
            (
                "rewind",
                guarantees.recognisesRewind ? "a log that went backwards comes back as a new one" : "not recognised"
            ),
            ("largest", "\(guarantees.largestRecordBytes) bytes in one record"),
        ]
    }
}

extension String {
    /// Followed by spaces up to `width` characters.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - self.count))
    }
}
