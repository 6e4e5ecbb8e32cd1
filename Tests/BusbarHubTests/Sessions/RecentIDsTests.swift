import BusbarHub
import Testing

@Suite("The ids that came last")
struct RecentIDsTests {
    @Test("each is kept once, and the oldest is forgotten when there are too many")
    func bounded() {
        var recent = RecentIDs(limit: 2)
        for id in ["a", "b", "b", "c"] { recent.insert(id) }
        #expect(!recent.contains("a"))
        #expect(recent.contains("b") && recent.contains("c"))
    }

    @Test("one that was taken out counts no more")
    func removed() {
        var recent = RecentIDs(limit: 2)
        for id in ["a", "b"] { recent.insert(id) }
        recent.remove("a")
        recent.remove("a")
        recent.insert("c")
        #expect(!recent.contains("a"))
        #expect(recent.contains("b") && recent.contains("c"))
    }
}
