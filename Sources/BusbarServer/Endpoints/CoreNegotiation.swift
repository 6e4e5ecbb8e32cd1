package import NIOCore

/// What a core client asked for in negotiate, and the answers to it.
package enum CoreNegotiation: Hashable, Sendable {
    /// The protocol version that is answered: 0 or 1.
    case version(Int)
    case refused(String)

    package static let highestVersion = 1

    /// - Parameter text: the value of `negotiateVersion`, nil when absent.
    package init(version text: String?, minimum: Int) {
        guard let text, !text.isEmpty else {
            self = minimum == 0 ? .version(0) : .refused(Self.unsupported(0, minimum))
            return
        }
        guard let version = Int(text) else {
            self = .refused("The negotiateVersion of the request is not an integer.")
            return
        }
        self =
            version < minimum || version < 0
            ? .refused(Self.unsupported(version, minimum)) : .version(min(version, Self.highestVersion))
    }

    private static func unsupported(_ version: Int, _ minimum: Int) -> String {
        "Negotiate version \(version) is not supported; this server supports \(minimum) to \(Self.highestVersion)."
    }

    /// The body of a successful answer. None of the values needs escaping.
    ///
    /// WebSockets are all that is offered: a client that is offered what is not served fails instead of choosing
    /// another.
    ///
    /// - Parameter mayReturn: whether stateful reconnect is granted; clients that did not ask for it refuse such an answer.
    package static func body(
        version: Int, connectionID: String, token: String, mayReturn: Bool = false
    ) -> ByteBuffer {
        let tokenProperty = version == 0 ? "" : #","connectionToken":"\#(token)""#
        let transports = #"[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]"#
        let head = #"{"negotiateVersion":\#(version),"connectionId":"\#(connectionID)"\#(tokenProperty)"#
        let returning = mayReturn ? #","useStatefulReconnect":true"# : ""
        return ByteBuffer(string: head + returning + #","availableTransports":\#(transports)}"#)
    }

    package static func body(error: String) -> ByteBuffer {
        ByteBuffer(string: #"{"error":"\#(error)"}"#)
    }
}
