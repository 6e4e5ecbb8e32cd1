import ArgumentParser
import BusbarDriver

/// `busbar config`: what a run would use, and from where.
struct ShowConfiguration: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Prints every setting, its value and where it came from; secrets are masked."
    )

    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try await self.options.settings()
        for entry in settings.entries {
            let value = entry.value.map { entry.setting.isSecret ? "(secret)" : BackplaneURL.masked($0) } ?? "(not set)"
            Console.line("\(entry.setting.key): \(value)  # \(entry.origin); \(entry.setting.summary)")
        }
    }
}
