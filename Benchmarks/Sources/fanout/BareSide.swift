import CLoad
import NIOCore
import NIOPosix

/// The floor: channels with an empty pipeline, written to on their loop.
final class BareSide: Side {
    let crowd: Crowd
    private let eventLoop: any EventLoop
    private let server: any Channel
    private let channels: NIOLoopBoundBox<[any Channel]>

    init(loop: MeasuredLoop, connections: Int) async throws {
        let eventLoop = loop.eventLoop
        let channels = try await eventLoop.submit { NIOLoopBoundBox<[any Channel]>([], eventLoop: eventLoop) }.get()
        let server = try await ServerBootstrap(group: loop.eventLoops)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { channels.value.append(channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.eventLoop = eventLoop
        self.server = server
        self.channels = channels
        self.crowd = try Crowd(
            port: server.localAddress?.port ?? 0, connections: connections, greeting: GREETING_NONE, path: "/")
        while try await eventLoop.submit({ channels.value.count }).get() < connections {
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Writes so many messages to every channel, in one buffer or in one each, with one flush.
    func broadcast(_ messages: Int, joined: Bool) async throws {
        let frames = self.crowd.nextTexts(messages).map(Self.frame)
        let buffers = joined ? [frames.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }] : frames
        let channels = self.channels
        self.eventLoop.execute {
            for channel in channels.value {
                for buffer in buffers { channel.write(buffer, promise: nil) }
                channel.flush()
            }
        }
    }

    func stop() async throws {
        try self.crowd.stop()
        try await self.server.close()
    }

    /// The bytes Busbar sends for one invocation, written down once more to notice when they change.
    private static func frame(_ text: String) -> ByteBuffer {
        let payload = #"{"type":1,"target":"messageReceived","arguments":[""# + text + "\"]}\u{1E}"
        var frame = ByteBuffer(bytes: [0x81, 126])
        frame.writeInteger(UInt16(payload.utf8.count))
        frame.writeString(payload)
        return frame
    }
}
