import ArgumentParser
import Busbar
import NIOCore

/// `busbar publish`: one message to a topic, from a process that serves nobody.
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publishes a text to a topic and ends once the broker has stored it.",
        discussion: """
            Hubs keep their messages in topics of their own, whose names begin with '\(Self.reservedPrefix)'; those \
            are refused here.
            """
    )

    private static let reservedPrefix = "$busbar/"

    @OptionGroup var options: CommonOptions

    @Argument(help: "What to publish to.")
    var topic: String

    @Argument(help: "What to say.")
    var text: String

    func run() async throws {
        guard !self.topic.hasPrefix(Self.reservedPrefix) else {
            throw ToolError.usage(
                "topic '\(self.topic.prefix(64))' belongs to hubs; take a name without '\(Self.reservedPrefix)'")
        }
        let settings = try await self.options.settings()
        let (topic, text) = (self.topic, self.text)
        _ = try await BusVisit.run(settings) { bus, _ in
            try await bus.publish(ByteBuffer(string: text), to: Topic(topic))
            return true
        }
    }
}
