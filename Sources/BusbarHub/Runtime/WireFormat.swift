package import BusbarProtocol

/// Protocol and framing together: recipients of one format share the same bytes.
package enum WireFormat: Hashable, Sendable {
    case core(CoreProtocol, TransportFraming)
    case classic(ClassicFraming)

    /// The same framing around what core clients of `language` speak.
    func speaking(_ language: CoreProtocol) -> Self {
        switch self {
        case .core(_, let framing): .core(language, framing)
        case .classic: self
        }
    }
}
