/// Protocol and framing together: recipients of one format share the same bytes.
package enum WireFormat: Int, Hashable, Sendable, CaseIterable {
    case coreJSONWebSocket
    case classicWebSocket

    package static func core(_ framing: TransportFraming) -> Self {
        switch framing {
        case .webSocket: .coreJSONWebSocket
        }
    }

    package static func classic(_ framing: TransportFraming) -> Self {
        switch framing {
        case .webSocket: .classicWebSocket
        }
    }
}
