import Busbar
import BusbarHub
import TestSupport
import Testing

@Suite("The audience table")
struct AudienceTableTests {
    @Test("joining twice is joining once, leaving what one is not in changes nothing")
    func idempotence() {
        var table = AudienceTable()
        expect(table.join(3, Topic("g")))
        expect(!table.join(3, Topic("g")))
        expect(table.members(of: Topic("g")) == [3])
        expect(!table.leave(1, Topic("g")))
        expect(!table.leave(3, Topic("h")))
        expect(table.leave(3, Topic("g")))
        expect(table.members(of: Topic("g")).isEmpty)
        expect(table.topicCount == 0)
    }

    @Test("who leaves is replaced by the last member, who can still leave itself")
    func swapRemove() {
        var table = AudienceTable()
        for slot in 0..<4 as Range<Int32> { table.join(slot, Topic("g")) }
        table.leave(1, Topic("g"))
        expect(table.members(of: Topic("g")) == [0, 3, 2])
        table.leave(3, Topic("g"))
        expect(table.members(of: Topic("g")) == [0, 2])
    }

    @Test("topics that look alike but differ in bytes are different audiences")
    func bytes() {
        var table = AudienceTable()
        table.join(0, Topic("caf\u{E9}"))
        expect(!table.contains(0, Topic("cafe\u{301}")))
    }

    @Test("any sequence of joins and leaves gives what sets would give", arguments: [1, 2, 3, 4, 5] as [UInt64])
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = AudienceTable()
        var model: [Topic: Set<Int32>] = [:]
        for _ in 0..<4_000 {
            let slot = Int32.random(in: 0..<12, using: &random)
            let topic = Topic("t\(Int.random(in: 0..<9, using: &random))")
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5: expect(table.join(slot, topic) == model[topic, default: []].insert(slot).inserted)
            case 5..<9: expect(table.leave(slot, topic) == (model[topic, default: []].remove(slot) != nil))
            default:
                table.leaveAll(slot)
                for topic in model.keys { model[topic]?.remove(slot) }
            }
            expect(Set(table.members(of: topic)) == model[topic, default: []])
            expect(table.members(of: topic).count == model[topic, default: []].count)
        }
        expect(table.topicCount == model.values.filter { !$0.isEmpty }.count)
    }
}
