import BusbarDriver
import Testing

@Suite("Receipts")
struct ReceiptTests {
    @Test(
        "a rest lies between none and the longest that a broker is given",
        arguments: [
            (Duration.milliseconds(-5), Duration.zero), (.zero, .zero), (.milliseconds(20), .milliseconds(20)),
            (.seconds(1), .seconds(1)), (.seconds(3600), .seconds(1)),
        ])
    func rests(asked: Duration, given: Duration) {
        let place = Position(stream: StreamID(0), epoch: Epoch(1), offset: Offset(1))
        #expect(Receipt(last: place, rest: asked).rest == given)
    }
}
