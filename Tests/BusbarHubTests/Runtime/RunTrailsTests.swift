import BusbarHub
import Testing

@Suite("Run trails")
struct RunTrailsTests {
    @Test("after broadcasts everybody stands on one trail, whatever their number")
    func broadcast() {
        var trails = RunTrails()
        var places = [RunTrails.Trail](repeating: RunTrails.start, count: 100)
        for run in 0..<3 as Range<Int32> {
            for index in places.indices { places[index] = trails.follow(run, from: places[index]) }
        }
        expect(Set(places).count == 1)
        expect(trails.count == 4)
        expect(trails.runs(of: places[0]) == [0, 1, 2])
        expect(trails.followers(of: places[0]) == 100)
    }

    @Test("who gets the same runs shares a trail, in the order of the batch; who doesn't, doesn't")
    func mixture() {
        var trails = RunTrails()
        let wanted: [[Int32]] = [[0, 1, 2], [0, 2], [1], [0, 1, 2], [], [0, 2], [2]]
        var places = [RunTrails.Trail](repeating: RunTrails.start, count: wanted.count)
        for run in 0..<3 as Range<Int32> {
            for index in places.indices where wanted[index].contains(run) {
                places[index] = trails.follow(run, from: places[index])
            }
        }
        for (place, runs) in zip(places, wanted) { expect(trails.runs(of: place) == runs.map(Int.init)) }
        expect(places[0] == places[3])
        expect(places[1] == places[5])
        expect(trails.followers(of: places[0]) == 2)
        expect(trails.followers(of: places[2]) == 1)
    }

    @Test("a new batch knows nothing of the last one")
    func reset() {
        var trails = RunTrails()
        let old = trails.follow(0, from: RunTrails.start)
        trails.reset()
        expect(trails.count == 1)
        expect(trails.follow(1, from: RunTrails.start) == old)
        expect(trails.runs(of: old) == [1])
    }
}
