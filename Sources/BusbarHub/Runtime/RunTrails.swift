/// Which runs of one batch each recipient gets, so that recipients who get the same can share the same bytes.
///
/// A trail is the sequence of runs that a recipient has been given so far. Trails form a tree: following a run leads
/// from one trail to a longer one, and everybody who followed the same runs stands on the same trail. A broadcast
/// therefore ends with all recipients on one trail, however many there are, and a step costs a comparison.
package struct RunTrails: Sendable {
    package typealias Trail = Int32

    /// The trail of who gets nothing.
    package static let start: Trail = 0

    private struct Node: Sendable {
        let parent: Trail
        let run: Int32
        /// Recipients whose trail ends here.
        var followers: Int32
    }

    private var nodes: [Node] = [Node(parent: 0, run: -1, followers: 0)]
    private var steps: [UInt64: Trail] = [:]
    private var lastFrom: Trail = -1
    private var lastRun: Int32 = -1
    private var lastTo: Trail = -1

    package init() {}

    /// How many trails there are, the empty one included.
    package var count: Int { self.nodes.count }

    /// Forgets the batch and keeps the memory.
    package mutating func reset() {
        self.nodes.removeLast(self.nodes.count - 1)
        self.nodes[0].followers = 0
        self.steps.removeAll(keepingCapacity: true)
        self.lastFrom = -1
    }

    /// The trail on which a recipient stands after it got `run` too.
    package mutating func follow(_ run: Int32, from trail: Trail) -> Trail {
        let next: Trail
        if trail == self.lastFrom && run == self.lastRun {
            next = self.lastTo
        } else {
            let step = UInt64(UInt32(bitPattern: trail)) << 32 | UInt64(UInt32(bitPattern: run))
            if let known = self.steps[step] {
                next = known
            } else {
                next = Trail(self.nodes.count)
                self.nodes.append(Node(parent: trail, run: run, followers: 0))
                self.steps[step] = next
            }
            self.lastFrom = trail
            self.lastRun = run
            self.lastTo = next
        }
        if trail != Self.start { self.nodes[Int(trail)].followers -= 1 }
        self.nodes[Int(next)].followers += 1
        return next
    }

    /// How many recipients stand on a trail.
    package func followers(of trail: Trail) -> Int { Int(self.nodes[Int(trail)].followers) }

    /// The runs of a trail, in the order of the batch.
    package func runs(of trail: Trail) -> [Int] {
        var runs: [Int] = []
        var trail = trail
        while trail != Self.start {
            runs.append(Int(self.nodes[Int(trail)].run))
            trail = self.nodes[Int(trail)].parent
        }
        runs.reverse()
        return runs
    }
}
