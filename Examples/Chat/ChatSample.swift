public import BusbarHub
public import BusbarServer
import NIOCore

/// The chat: its hub and what a browser loads for it.
public enum ChatSample {
    /// `ChatHub`, for core clients at `/chat`.
    /// - Parameter node: what the page shows as the node a user is connected to.
    public static func hub(node: String) -> HubRegistration {
        .hub(ChatHub.self, path: "/chat") { call in ChatHub(call, node: node) }
    }

    /// The page at `/` and its client script at `/busbar.js`.
    public static var resources: [ServedResource] {
        [
            ServedResource(
                path: "/",
                contentType: "text/html; charset=utf-8",
                bytes: ByteBuffer(bytes: PackageResources.index_html)
            ),
            ServedResource(
                path: "/busbar.js",
                contentType: "text/javascript; charset=utf-8",
                bytes: ByteBuffer(bytes: PackageResources.busbar_js)
            ),
        ]
    }
}
