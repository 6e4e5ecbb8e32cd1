import ArgumentParser
import BusbarConformance
import BusbarDriver
import BusbarMemory

/// `busbar conformance`: whether a driver keeps the contract, law by law, on the broker at hand.
struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the conformance kit against a backplane's driver and prints each law.",
        discussion: """
            Ends with 'N passed, N failed, N skipped'; exit status 0 means that no law was broken. What a driver doesn't \
            claim, and what needs a fault that nobody can inject, is skipped and says so.

            Level A: every law in calm, under a minute. B: with faults too. C: soak and measurement too. Each case works \
            in an app of its own, but faults hit the whole broker: give the command a throw-away one.

            The command of --faults is run by /bin/sh with one more word: pause, resume, kill, start, wipe, \
            restore-older, and if it can save, cut-links, refuse, accept. It inherits the environment, which has \
            BUSBAR_BACKPLANE besides, and returns when the fault has happened. Exit status 64 says that it doesn't know \
            the word.
            """
    )

    @OptionGroup var options: CommonOptions

    @Option(help: "How far to go: A (calm), B (faults), C (soak and measurement).")
    var level: String = "A"

    @Option(help: "A command that does things to the broker; needed from level B on.")
    var faults: String?

    @Option(help: "The longest that one call of the faults command may take, in seconds.")
    var faultDeadline: Int = 60

    @Option(name: .customLong("case"), help: "Runs these cases only, by name or the beginning of it; repeatable.")
    var names: [String] = []

    @Option(help: "A factor for all deadlines, for a slow broker.")
    var patience: Double = 1

    @Flag(name: .customLong("volatile"), help: "The broker keeps nothing over a restart: don't ask for durability.")
    var isVolatile = false

    func run() async throws {
        let run = ConformanceRun(of: try await self.driver(), cases: try self.cases(), patience: self.patience)
        let status = await run.run { Console.line($0) }
        guard status == 0 else { throw ToolError.failure("the contract isn't kept") }
    }

    func validate() throws {
        guard self.patience > 0, self.patience <= 1_000 else {
            throw ValidationError("--patience is a factor above 0 and up to 1000, not \(self.patience)")
        }
        guard (1...3_600).contains(self.faultDeadline) else {
            throw ValidationError("--fault-deadline is 1 to 3600 seconds, not \(self.faultDeadline)")
        }
    }

    private func cases() throws -> [ConformanceCase] {
        guard let level = ConformanceCase.Level(rawValue: self.level.uppercased()) else {
            throw ToolError.usage("--level is A, B or C, not '\(self.level)'")
        }
        guard !self.names.isEmpty else { return ConformanceKit.cases(upTo: level) }
        for name in self.names where !ConformanceKit.cases.contains(where: { $0.name.hasPrefix(name) }) {
            throw ToolError.usage("there is no case '\(name)'; level C without --case names them all")
        }
        return ConformanceKit.cases.filter { each in self.names.contains { each.name.hasPrefix($0) } }
    }

    private func driver() async throws -> any DriverUnderTest {
        let backplane = try Backplane(try await self.options.settings())
        if backplane.registration.name == DriverRegistration.memory.name {
            guard self.faults == nil else {
                throw ToolError.usage("the memory driver has no broker; its faults are simulated, without --faults")
            }
            return MemoryUnderTest(simulatingFaults: true)
        }
        let command = self.faults.map {
            FaultCommand(
                $0, environment: ["BUSBAR_BACKPLANE": backplane.url.text], deadline: .seconds(self.faultDeadline))
        }
        do throws(BackplaneURLError) {
            return try RegisteredDriver(
                at: backplane.url, among: backplane.drivers, faults: command, brokerPersists: !self.isVolatile)
        } catch {
            throw ToolError.usage("backplane: \(error)")
        }
    }
}
