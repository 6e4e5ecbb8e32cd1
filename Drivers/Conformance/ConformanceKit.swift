/// The driver contract as a list of cases.
public enum ConformanceKit {
    /// All cases: the port's laws first, then those seen through a bus, then faults, then soak and measurement.
    public static let cases: [ConformanceCase] = [
        Self.payloadCases, Self.appendCases, Self.orderCases, Self.readCases, Self.lifeCases, Self.topicCases,
        Self.flowCases,
        Self.linkCases, Self.brokerCases, Self.soakCases,
    ].flatMap { $0 }

    public static func cases(upTo level: ConformanceCase.Level) -> [ConformanceCase] {
        Self.cases.filter { $0.level <= level }
    }

    public static func `case`(named name: String) -> ConformanceCase? {
        Self.cases.first { $0.name == name }
    }
}
