/// One message of the core hub protocol, as parsed. Its texts are slices of the record it was parsed from.
package enum CoreMessage: Sendable {
    /// A call, or with an id a call that wants an answer.
    case invocation(CoreInvocation)
    /// A call whose answer is a stream; it always has an id.
    case streamInvocation(CoreInvocation)
    case streamItem(id: String, item: CallValue)
    case completion(id: String, result: CoreResult)
    case cancelInvocation(id: String)
    case ping
    case close(error: String?, allowReconnect: Bool)
    case ack(UInt64)
    case sequence(UInt64)
    /// A message of a type we do not know, to be skipped.
    case unknown(type: Int)
}

/// How an invocation ended.
package enum CoreResult: Hashable, Sendable {
    /// Without a result, as a stream ends.
    case void
    case value(CallValue)
    case error(String)
}

/// What an invocation asks for.
package struct CoreInvocation: Sendable {
    /// Never empty.
    package var target: String
    package var arguments: CallArguments
    /// Nil when no answer is wanted; never empty.
    package var invocationID: String?
    /// The streams that the caller is going to send along with the call.
    package var streamIDs: [String]
    package var headers: [(name: String, value: String)]

    package init(
        target: String,
        arguments: CallArguments,
        invocationID: String? = nil,
        streamIDs: [String] = [],
        headers: [(name: String, value: String)] = []
    ) {
        self.target = target
        self.arguments = arguments
        self.invocationID = invocationID
        self.streamIDs = streamIDs
        self.headers = headers
    }
}

extension CoreInvocation: Equatable {
    package static func == (left: Self, right: Self) -> Bool {
        left.target == right.target && left.arguments == right.arguments && left.invocationID == right.invocationID
            && left.streamIDs == right.streamIDs && left.headers.elementsEqual(right.headers, by: ==)
    }
}

extension CoreMessage: Equatable {}
