package import BusbarProtocol

/// How an invocation ended.
package enum InvocationOutcome: Hashable, Sendable {
    /// The method has no result.
    case void
    /// The method's result; `null` for nil.
    case value(JSONValueText)
    case failed(HubFailure)

    var isFailure: Bool {
        if case .failed = self { true } else { false }
    }
}

/// Why an invocation or a lifetime event failed, with what either generation of clients may be told about it.
package struct HubFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// The method threw a ``HubError``: its text is for the caller.
        case hubError
        /// The method threw another error, of this type.
        case thrown(String)
        /// The method gave up because it was cancelled.
        case cancelled
        /// The hub has no method of that name.
        case unknownMethod
        /// No method of that name, or more than one, takes that many arguments.
        case argumentCount(provided: Int, accepted: [Int])
        /// An argument does not fit its parameter.
        case argumentMismatch
        /// The caller does not meet what the hub or the method asks for.
        case notAuthorized
        /// The factory did not make a hub.
        case hubUnavailable(String)
    }

    /// The error behind a failure. Why equal to every other: what tells failures apart is what is said of them.
    struct Cause: Hashable, Sendable {
        /// Nil if the failure is no error of the hub's.
        var error: (any Error)?

        static func == (left: Self, right: Self) -> Bool { true }
        func hash(into hasher: inout Hasher) {}
    }

    package let kind: Kind

    /// What went wrong. For the caller only when it is a hub error or detailed errors are on.
    package let message: String

    /// What a hub error carries besides its text.
    package let data: JSONValueText?

    private(set) var cause = Cause()

    package init(_ kind: Kind, _ message: String, data: JSONValueText? = nil) {
        self.kind = kind
        self.message = message
        self.data = data
    }

    /// The failure for what a hub threw.
    package init(thrown error: any Error) {
        switch error {
        case let error as HubError:
            self.init(.hubError, error.message, data: error.data.flatMap { Self.text(of: $0) })
        case is CancellationError:
            self.init(.cancelled, "The call was cancelled.")
        case let error as HubSendError where error.code == .cancelled:
            self.init(.cancelled, error.description)
        default:
            self.init(.thrown("\(type(of: error))"), Self.describe(error))
        }
        self.cause = Cause(error: error)
    }

    /// The failure for what a factory threw instead of making a hub.
    package init(factory error: any Error) {
        if error is HubError {
            self.init(thrown: error)
        } else {
            self.init(.hubUnavailable("\(type(of: error))"), Self.describe(error))
        }
    }

    // Why: data that cannot be written must not hide the text it came with.
    private static func text(of data: any Encodable & Sendable) -> JSONValueText? {
        guard let text = try? JSONValueText(encoding: data), text != .null else { return nil }
        return text
    }

    private static func describe(_ error: any Error) -> String { String("\(error)".prefix(1_024)) }
}

extension HubFailure {
    package var description: String { self.message }

    /// Whether the client brought it about, by what it sent or by leaving, and not the hub.
    package var isClientsDoing: Bool {
        switch self.kind {
        case .hubError, .cancelled, .unknownMethod, .argumentCount, .argumentMismatch, .notAuthorized: true
        case .thrown, .hubUnavailable: false
        }
    }

    /// What went wrong, in one line of at most 256 characters: a client may have chosen part of the text.
    package var logText: String {
        String(self.message.prefix(256).map { $0.isNewline || ($0.asciiValue ?? 32) < 32 ? " " : $0 })
    }

    /// Whether the text is meant for the caller: classic results then say so with `H` and carry ``data``.
    package var isHubError: Bool { self.kind == .hubError }

    /// What a classic client is told.
    /// - Parameters:
    ///   - hub: the hub's name as the client spelled it.
    ///   - method: the method's name as the client spelled it.
    package func classicText(hub: String, method: String, detailed: Bool) -> String {
        guard detailed || self.isHubError else {
            return "There was an error invoking Hub method '\(hub).\(method)'."
        }
        return self.message
    }

    /// What a core client is told.
    /// - Parameter method: the method's name as the client spelled it.
    package func coreText(method: String, detailed: Bool) -> String {
        let unexpected = "An unexpected error occurred invoking '\(method)' on the server."
        let notInvoked = "Failed to invoke '\(method)' due to an error on the server."
        switch self.kind {
        case .hubError:
            return "\(unexpected) HubException: \(self.message)"
        case .unknownMethod:
            return "\(notInvoked) HubException: Method does not exist."
        case .notAuthorized:
            return "Failed to invoke '\(method)' because user is unauthorized"
        case .thrown(let type), .hubUnavailable(let type):
            return detailed ? "\(unexpected) \(type): \(self.message)" : unexpected
        case .cancelled:
            return detailed ? "\(unexpected) CancellationError: \(self.message)" : unexpected
        case .argumentMismatch:
            return detailed ? "\(notInvoked) InvalidDataException: \(self.message)" : notInvoked
        case .argumentCount(let provided, let accepted):
            guard detailed else { return notInvoked }
            let counts = accepted.map(String.init).joined(separator: " or ")
            return "\(notInvoked) InvalidDataException: Invocation provides \(provided) argument(s) but target expects"
                + " \(counts)."
        }
    }
}
