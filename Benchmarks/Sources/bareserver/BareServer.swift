import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// What NIO alone costs per connection: accepts on one event loop and never answers.
/// `bareserver empty` adds one handler that does nothing, `bareserver http` NIO's HTTP/1.1 server pipeline.
@main
struct BareServer {
    static func main() throws {
        let withHTTP = CommandLine.arguments.dropFirst().first == "http"
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if withHTTP { try channel.pipeline.syncOperations.configureHTTPServerPipeline() }
                    try channel.pipeline.syncOperations.addHandler(SilentHandler())
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        let line = "port=\(server.localAddress?.port ?? 0)\n"
        _ = write(STDOUT_FILENO, line, line.utf8.count)
        try server.closeFuture.wait()
    }
}

private final class SilentHandler: ChannelInboundHandler {
    typealias InboundIn = NIOAny
}
