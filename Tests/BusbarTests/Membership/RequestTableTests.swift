import Busbar
import Testing

@Suite("Requests between nodes")
struct RequestTableTests {
    private typealias Table = RequestTable<String>

    private let own = NodeID(process: 1)
    private let second = NodeID(process: 2)
    private let third = NodeID(process: 3)
    private let deadline = Moment(nanoseconds: 1_000)

    /// The table of a node that knows two others.
    private func table(isSettled: Bool = true) -> Table {
        var table = Table(own: self.own)
        table.joined(self.second)
        table.joined(self.third)
        if isSettled { _ = table.settled() }
        return table
    }

    private func begin(_ table: inout Table, _ target: Table.Target) -> (Table.Number, AnswerDuty?) {
        let (number, duty, effects) = table.begin(target, deadline: self.deadline)
        #expect(effects.isEmpty)
        return (number, duty)
    }

    @Test("a request about a connection obliges the node that its id names to answer, and nobody else")
    func named() {
        var table = self.table()
        let (number, duty) = self.begin(&table, .owner(hint: self.second))
        #expect(duty == .named(self.second))
        #expect(duty?.binds(self.second) == true && duty?.binds(self.third) == false)
        #expect(table.answered(number, "done") == [.finish(number, .answered("done"))])
        #expect(table.count == 0)
    }

    @Test("N-49: an answer counts once; late ones, and ones to requests never made, are ignored")
    func late() {
        var table = self.table()
        let (number, _) = self.begin(&table, .node(self.second))
        #expect(table.answered(number, "done").count == 1)
        #expect(table.answered(number, "again").isEmpty)
        #expect(table.answered(4_711, "ghost").isEmpty)
        #expect(table.declined(number, by: self.second).isEmpty)
    }

    @Test("that no member has it is believed at once, unless the id names a node that may have just started")
    func stranger() {
        var table = self.table()
        let hello = Moment(nanoseconds: 500)
        let (early, _, _) = table.begin(.owner(hint: nil), deadline: self.deadline, patientUntil: hello)
        let (late, _, _) = table.begin(.owner(hint: nil), deadline: self.deadline, patientUntil: hello)
        for node in [self.own, self.second, self.third] {
            #expect(table.declined(early, by: node).isEmpty)
            #expect(table.declined(late, by: node).isEmpty)
        }
        #expect(table.departed(self.third).isEmpty)
        #expect(table.answered(early, "hello") == [.finish(early, .answered("hello"))])
        #expect(table.expire(now: Moment(nanoseconds: 499)).isEmpty)
        #expect(table.expire(now: hello) == [.finish(late, .nobody)])
        #expect(table.count == 0)
    }

    @Test("a connection that lives elsewhere than its id says answers itself")
    func elsewhere() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: self.second))
        #expect(table.declined(number, by: self.second) == [.callRoll(number)])
        #expect(table.answered(number, "from the third") == [.finish(number, .answered("from the third"))])
    }

    @Test("who says that it comes to him doesn't answer for the others; when nobody else has it, it may be asked again")
    func coming() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: self.second))
        #expect(table.declined(number, by: self.second) == [.callRoll(number)])
        #expect(table.declined(number, by: self.third, isComing: true).isEmpty)
        #expect(table.declined(number, by: self.own) == [.finish(number, .coming)])

        let (found, _) = self.begin(&table, .owner(hint: self.second))
        #expect(table.declined(found, by: self.second, isComing: true) == [.callRoll(found)])
        #expect(table.answered(found, "from the third") == [.finish(found, .answered("from the third"))])

        let (lost, _) = self.begin(&table, .owner(hint: self.second))
        #expect(table.declined(lost, by: self.second, isComing: true) == [.callRoll(lost)])
        #expect(table.declined(lost, by: self.own).isEmpty)
        #expect(table.departed(self.third) == [.finish(lost, .nodeGone)])
    }

    @Test("when the named node doesn't have it everybody is asked, and when nobody has it that is the answer")
    func nobody() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: self.second))
        #expect(table.declined(number, by: self.third).isEmpty, "it was not asked yet")
        #expect(table.declined(number, by: self.second) == [.callRoll(number)])
        #expect(table.declined(number, by: self.third).isEmpty)
        #expect(table.declined(number, by: self.third).isEmpty, "once is enough")
        #expect(table.declined(number, by: self.own) == [.finish(number, .nobody)])
    }

    @Test("a single node is asked alone")
    func alone() {
        var table = Table(own: self.own)
        _ = table.settled()
        let (number, duty) = self.begin(&table, .owner(hint: nil))
        #expect(duty == .everyone)
        #expect(table.declined(number, by: self.own) == [.finish(number, .nobody)])
        let (other, _) = self.begin(&table, .owner(hint: self.own))
        #expect(table.declined(other, by: self.own) == [.finish(other, .nobody)])
    }

    @Test("N-49: a request to a dead node fails at once, and so does one whose node dies")
    func dead() {
        var table = self.table()
        let (number, _) = self.begin(&table, .node(self.second))
        #expect(table.departed(self.second) == [.finish(number, .nodeGone)])
        let (next, duty, effects) = table.begin(.node(self.second), deadline: self.deadline)
        #expect(duty == nil && effects == [.finish(next, .nodeGone)])
        #expect(table.count == 0)
    }

    @Test("N-49: when the named node dies the others are asked; nobody's answer then is that a node is gone")
    func ownerDies() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: self.second))
        let (found, _) = self.begin(&table, .owner(hint: self.second))
        #expect(table.departed(self.second) == [.callRoll(number), .callRoll(found)])
        #expect(table.declined(number, by: self.own).isEmpty)
        #expect(table.declined(number, by: self.third) == [.finish(number, .nodeGone)])
        #expect(table.answered(found, "it had moved") == [.finish(found, .answered("it had moved"))])
    }

    @Test("a node that dies while everybody is asked is not waited for")
    func oneOfAllDies() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: nil))
        #expect(table.declined(number, by: self.own).isEmpty)
        #expect(table.declined(number, by: self.second).isEmpty)
        #expect(table.departed(self.third) == [.finish(number, .nodeGone)])
    }

    @Test("until all nodes are known nobody's answer is final, and then everybody is asked")
    func gathering() {
        var table = self.table(isSettled: false)
        let (number, duty) = self.begin(&table, .owner(hint: nil))
        #expect(duty == .everyone)
        for node in [self.own, self.second, self.third] { #expect(table.declined(number, by: node).isEmpty) }
        let fourth = NodeID(process: 4)
        table.joined(fourth)
        #expect(table.settled() == [.callRoll(number)])
        for node in [self.own, self.second, self.third] { #expect(table.declined(number, by: node).isEmpty) }
        #expect(table.declined(number, by: fourth) == [.finish(number, .nobody)])
    }

    @Test("F-58: a node that slept asks everybody again, itself in its new life too")
    func slept() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: nil))
        let (named, _) = self.begin(&table, .owner(hint: self.own))
        table.unsettled()
        #expect(table.departed(self.own).isEmpty)
        table.joined(self.own.next)
        #expect(table.settled() == [.callRoll(number), .callRoll(named)])
        for node in [self.second, self.third] { #expect(table.declined(number, by: node).isEmpty) }
        #expect(table.declined(number, by: self.own.next) == [.finish(number, .nobody)])
    }

    @Test("every request ends: at its deadline, with the node, and when there are too many at once")
    func ends() {
        var table = Table(own: self.own, limit: 2)
        let (first, _) = self.begin(&table, .owner(hint: self.own))
        let (late, _, _) = table.begin(.owner(hint: nil), deadline: Moment(nanoseconds: 2_000))
        let (full, duty, effects) = table.begin(.owner(hint: nil), deadline: self.deadline)
        #expect(duty == nil && effects == [.finish(full, .full)])
        #expect(table.expire(now: Moment(nanoseconds: 999)).isEmpty)
        #expect(table.expire(now: self.deadline) == [.finish(first, .timedOut)])
        #expect(table.close() == [.finish(late, .stopped)])
        let (stopped, _, afterwards) = table.begin(.owner(hint: self.own), deadline: self.deadline)
        #expect(afterwards == [.finish(stopped, .stopped)])
        #expect(table.count == 0)
    }

    @Test("what was given up is forgotten")
    func abandoned() {
        var table = self.table()
        let (number, _) = self.begin(&table, .owner(hint: self.second))
        table.abandon(number)
        #expect(table.answered(number, "late").isEmpty && table.count == 0)
    }
}
