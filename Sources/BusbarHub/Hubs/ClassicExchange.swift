package import BusbarProtocol
import Synchronization

/// What one call of a classic client exchanges with it beside arguments and result: state both ways, and progress.
package final class ClassicExchange: Sendable {
    private struct Contents {
        var bag: StateBag
        var isCompleted = false
    }

    private let contents: Mutex<Contents>

    /// How the client numbers the call; nil if it wants no answer, or if this is an event.
    let invocationID: String?

    package init(invocationID: String? = nil, state: JSONValueText? = nil) {
        self.invocationID = invocationID
        self.contents = Mutex(Contents(bag: StateBag(state)))
    }

    /// What the call has changed in the client's state, as an object; nil if nothing.
    package var stateChanges: JSONValueText? { self.withBag { $0.changes() } }

    /// Why the state can't be sent back as the method set it; nil if it can.
    var stateProblem: String? { self.withBag { $0.problem } }

    /// Whether the method has returned.
    var isCompleted: Bool { self.contents.withLock { $0.isCompleted } }

    func complete() { self.contents.withLock { $0.isCompleted = true } }

    func withBag<Result: Sendable>(_ body: (inout StateBag) -> Result) -> Result {
        self.contents.withLock { body(&$0.bag) }
    }
}
