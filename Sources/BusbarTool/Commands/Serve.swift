import ArgumentParser
struct Serve: AsyncParsableCommand { @OptionGroup var options: CommonOptions
 @Option(help: "Port") var port: String?
 func run() async throws { _ = try await self.options.settings(and: ["port": self.port]) } }
