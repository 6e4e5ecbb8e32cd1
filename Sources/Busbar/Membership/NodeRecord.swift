package import NIOCore

/// What nodes say to each other through the log, beside the messages they carry.
package enum NodeRecord: Hashable, Sendable {
    case sign(NodeSign)
    case request(NodeRequest)
    /// Whoever has not taken the request is to say so.
    case rollCall(RequestKey, subject: String)
    /// A connection lives on `node` from here on. Any other node that has it lets go of it.
    case moved(connectionID: String, to: NodeID)
    /// A connection has begun on `node`. Any other node where it had only begun, too, lets go of it; one that it has moved to keeps it:
    /// this is late news there.
    case began(connectionID: String, on: NodeID)
    case replies(NodeReplies)
    /// The client of a connection has ended it on `node`. Any other node to which it comes lets go of it.
    case ended(connectionID: String, on: NodeID)

    /// The largest body of a request or an answer, in bytes.
    package static let largestBodyBytes = 4 << 20
}

/// Something that one node is to do, at most once, and to answer.
package struct NodeRequest: Hashable, Sendable {
    package let key: RequestKey
    package let duty: AnswerDuty
    /// The id of the connection it is about; empty if it is about the node.
    package let subject: String
    /// What is to be done: a number that whoever serves it understands.
    package let kind: UInt8
    package let body: ByteBuffer

    package init(key: RequestKey, duty: AnswerDuty, subject: String, kind: UInt8, body: ByteBuffer) {
        self.key = key
        self.duty = duty
        self.subject = subject
        self.kind = kind
        self.body = body
    }
}

/// What became of a request.
package enum NodeAnswer: Hashable, Sendable {
    case done(ByteBuffer)
    /// It was for this node, which would not do it: a word for programs and a line for people.
    case refused(code: String, detail: String)

    package var bytes: Int {
        switch self {
        case .done(let body): 16 + body.readableBytes
        case .refused(let code, let detail): 16 + code.utf8.count + detail.utf8.count
        }
    }
}

/// Answers of one node to another.
package struct NodeReplies: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        case declined
        /// Not taken, but what it is about is on its way to this node, or has just come: asking again will find it.
        case coming
        case answer(NodeAnswer)
    }

    package struct Entry: Hashable, Sendable {
        package let number: UInt64
        package let verdict: Verdict

        package init(number: UInt64, verdict: Verdict) {
            self.number = number
            self.verdict = verdict
        }
    }

    package let to: NodeID
    package let from: NodeID
    package let entries: [Entry]

    package init(to: NodeID, from: NodeID, entries: [Entry]) {
        self.to = to
        self.from = from
        self.entries = entries
    }
}
