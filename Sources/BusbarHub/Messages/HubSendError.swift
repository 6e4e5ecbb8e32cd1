/// Why a message to clients or a change of a group did not take place, or a client's answer did not come.
public struct HubSendError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure. Open: new codes may appear.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let name: String

        init(_ name: String) { self.name = name }

        public var description: String { self.name }

        /// A method, connection id, group or user was named with an empty string. Nothing was sent.
        public static let emptyName = Self("emptyName")
        /// A name, a list of exceptions or the arguments are larger than a message may be. Nothing was sent.
        public static let tooLarge = Self("tooLarge")
        /// An argument cannot be written as JSON, `detail` says why. Nothing was sent.
        public static let argumentNotEncodable = Self("argumentNotEncodable")
        /// Progress was reported of a call whose method has returned.
        public static let invocationCompleted = Self("invocationCompleted")
        /// The bus has not accepted the message: the backplane is away and the offline policy or the deadline said no.
        /// Sending again later may succeed.
        public static let notAccepted = Self("notAccepted")
        /// The node of the connection is gone, or went before it answered. Whether the change of a group took place is
        /// unknown, and so is where the client goes on; trying again is harmless.
        public static let nodeGone = Self("nodeGone")
        /// The connection is on its way from one node to another. Never leaves the hubs: they ask again.
        static let moving = Self("moving")
        /// A node has as many requests of others as it can take, or a client has as many calls to answer as it may.
        /// Trying again later may succeed.
        public static let overloaded = Self("overloaded")
        /// Nobody confirmed the change of a group in time: trying again is harmless. Or a client did not answer in time:
        /// whether it did what it was asked is unknown.
        public static let timedOut = Self("timedOut")
        /// The connection is in as many groups as it may be in. Raise ``HubConfiguration/groupLimit`` or leave one.
        /// The node of the connection logs it too.
        public static let tooManyGroups = Self("tooManyGroups")
        /// No node has the connection whose client was to answer, or it is not one of this hub.
        public static let noSuchConnection = Self("noSuchConnection")
        /// The connection ended before its client answered. Whether the client did what it was asked is unknown.
        public static let disconnected = Self("disconnected")
        /// The client's method failed; `detail` is what the client says about it.
        public static let clientFailed = Self("clientFailed")
        /// The client answered with something that is not of the type asked for.
        public static let resultMismatch = Self("resultMismatch")
        /// Several clients, or a group or user, were asked for one answer. Nothing was sent.
        public static let notOneClient = Self("notOneClient")
        /// The connection is a classic one: its protocol has no answers of clients. Nothing was sent.
        public static let resultsUnsupported = Self("resultsUnsupported")
        /// A call asked its own client, and calls of that client fill its queue, so that its answer can't be read. Ask
        /// from elsewhere, or raise ``HubConfiguration/queuedInvocationLimit``.
        public static let blocked = Self("blocked")
        /// A module of the pipeline kept a call from its client, so nobody answers.
        public static let withheld = Self("withheld")
        /// The runtime has stopped or stops.
        public static let stopped = Self("stopped")
        /// The calling task was cancelled while it waited.
        public static let cancelled = Self("cancelled")
    }

    public let code: Code

    /// What was wrong and what would be right, in one line without payloads.
    public let detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    public var description: String { "\(self.code): \(self.detail)" }
}
