import ArgumentParser
import BusbarDriver

/// `busbar doctor`: whether a backplane can be used, how fast it is, and what to change.
struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Connects to a backplane, checks rights and version, measures a round trip, says what to fix.",
        discussion: """
            Exit status 0: it works; 1: something is wrong; 64: the URL is. It appends a few records to a stream of \
            its own in the app's namespace, which no node reads.
            """
    )

    @OptionGroup var options: CommonOptions

    @Flag(help: "Print what the broker's owner has to run first, such as a database's schema, and do nothing else.")
    var printSchema = false

    func run() async throws {
        let settings = try await self.options.settings()
        let backplane = try Backplane(settings)
        if self.printSchema { return try Self.printSchema(of: backplane) }
        Console.line("\(backplane.registration.name) at \(backplane.url), app \(backplane.app)")
        var findings = await BackplaneProbe.findings(of: try backplane.makeDriver())
        if let examine = backplane.registration.examine {
            findings += await examine(backplane.url, backplane.app)
        }
        if backplane.registration.reach == .process {
            findings.append(
                DriverFinding(
                    .advice, "reach", "reaches this process only: nodes do not hear each other",
                    remedy: "name a broker, such as \(try Self.exampleOfBroker())"))
        }
        for finding in findings { Self.show(finding) }
        let wrong = findings.count { $0.grade == .wrong }
        guard wrong == 0 else {
            throw ToolError.failure("\(wrong) \(wrong == 1 ? "thing is" : "things are") wrong with \(backplane.url)")
        }
        Console.line("It works.")
    }

    private static func printSchema(of backplane: Backplane) throws {
        guard let prepare = backplane.registration.prepare else {
            throw ToolError.usage(
                "--print-schema: \(backplane.registration.name) has no schema; it needs nothing run first")
        }
        do throws(BackplaneURLError) {
            Console.line(try prepare(backplane.url, backplane.app))
        } catch {
            throw Backplane.usage(error)
        }
    }

    static func exampleOfBroker() throws -> String {
        try DriverRegistry.builtIn().registrations.first { $0.reach == .broker }?.example ?? "a broker's URL"
    }

    private static func show(_ finding: DriverFinding) {
        let grade =
            switch finding.grade {
            case .good: "ok"
            case .advice: "advice"
            case .wrong: "WRONG"
            }
        Console.line("  \(grade.padded(to: 8))\(finding.subject.padded(to: 13))\(finding.detail)")
        if let remedy = finding.remedy {
            Console.line(String(repeating: " ", count: 23) + "-> \(remedy)")
        }
    }
}
