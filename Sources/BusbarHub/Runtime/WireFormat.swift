package import BusbarProtocol

/// Protocol and framing together: recipients of one format share the same bytes.
package enum WireFormat: Hashable, Sendable {
    case coreJSONWebSocket
    case classic(ClassicFraming)

    package static func core(_ framing: TransportFraming) -> Self {
        switch framing {
        case .webSocket: .coreJSONWebSocket
        }
    }
}
