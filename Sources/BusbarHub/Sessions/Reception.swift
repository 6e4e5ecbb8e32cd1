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
        // Why again: the last acknowledgement may have gone down with the old link, and a client whose buffer is full says
        // nothing before it has one.
        self.acknowledgedNumber = 0
    }

    /// The number to acknowledge, once on each link; nil if there is nothing new to say, or not yet.
    ///
    /// Why nothing before all repeats are there: clients say where they begin, and only then take from their buffer what they
    /// repeat. An acknowledgement in between takes the beginning away, and what follows arrives under the wrong number.
    package mutating func takeAcknowledgement() -> UInt64? {
        guard !self.awaitsSequence, self.nextNumber > self.highestNumber else { return nil }
        guard self.highestNumber > self.acknowledgedNumber else { return nil }
        self.acknowledgedNumber = self.highestNumber
        return self.highestNumber
    }
}
