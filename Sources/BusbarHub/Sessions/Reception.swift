/// What a client with stateful reconnect has sent: numbers its messages as they arrive and tells repeats.
package struct Reception: Hashable, Sendable {
    /// The number of the next message to arrive on the present link.
    private var nextNumber: UInt64 = 1
    private var highestNumber: UInt64 = 0
    private var acknowledgedNumber: UInt64 = 0
    private var awaitsSequence = false

    package init() {}

    /// A message that counts has arrived. False if it is a repeat, or can't be numbered yet, and is to be passed over.
    package mutating func isNew() -> Bool {
        if self.awaitsSequence { return false }
        let number = self.nextNumber
        self.nextNumber += 1
        guard number > self.highestNumber else { return false }
        self.highestNumber = number
        return true
    }

    /// The client says which number its next message has. False if messages before it have never arrived.
    package mutating func sequenceReceived(_ number: UInt64) -> Bool {
        guard number <= self.highestNumber + 1 else { return false }
        self.nextNumber = number
        self.awaitsSequence = false
        return true
    }

    /// The client is back on a new link, and its next word says where it begins.
    package mutating func linkCameBack() {
        self.awaitsSequence = true
    }

    /// The number to acknowledge, once; nil if nothing new has arrived.
    package mutating func takeAcknowledgement() -> UInt64? {
        guard self.highestNumber > self.acknowledgedNumber else { return nil }
        self.acknowledgedNumber = self.highestNumber
        return self.highestNumber
    }
}
