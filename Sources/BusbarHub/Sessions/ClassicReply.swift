package import NIOCore
import Synchronization

/// What a call that came by a request of its own gets.
package enum ClassicSendAnswer: Hashable, Sendable {
    /// The result as JSON, be it success or failure.
    case result(ByteBuffer)
    /// The call has been carried out, and nobody wanted to know its result.
    case nothing
    /// It can't be read as a call, and holds no id to say so under; what was wrong.
    case unreadable(String)
    /// A persistent connection could not handle what it was sent.
    case failed
    /// Too many calls of the connection wait already.
    case busy
    /// No such connection on this node, or not any more.
    case unknown
}

/// Where the result of a call goes.
enum ClassicAnswer: Sendable {
    /// To the receive channel that the call came by, as long as it is the connection's.
    case channel(ClassicLifecycle.Channel)
    case reply(ClassicReply)

    /// Says why the call is not carried out, to who can be told.
    func refuse(_ answer: ClassicSendAnswer) {
        switch self {
        case .channel: break
        case .reply(let reply): reply.resolve(answer)
        }
    }
}

/// The answer that a request waits for. Answered once; what is let go of without an answer was never carried out, since
/// its connection ended before its turn came.
final class ClassicReply: Sendable {
    private enum State {
        case waiting(CheckedContinuation<ClassicSendAnswer, Never>)
        case answered
    }

    private let state: Mutex<State>

    private init(_ continuation: CheckedContinuation<ClassicSendAnswer, Never>) {
        self.state = Mutex(.waiting(continuation))
    }

    deinit { self.resolve(.unknown) }

    /// Waits until who gets the reply has answered it or let go of it.
    static func wait(_ body: (ClassicReply) -> Void) async -> ClassicSendAnswer {
        await withCheckedContinuation { body(ClassicReply($0)) }
    }

    func resolve(_ answer: ClassicSendAnswer) {
        let waiting = self.state.withLock { state -> CheckedContinuation<ClassicSendAnswer, Never>? in
            guard case .waiting(let continuation) = state else { return nil }
            state = .answered
            return continuation
        }
        waiting?.resume(returning: answer)
    }
}
