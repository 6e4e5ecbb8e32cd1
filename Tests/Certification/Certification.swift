package import BusbarConformance
import FoundationEssentials

/// The conformance kit in a driver's own test suite.
package enum Certification {
    /// Runs `cases`, shows what `busbar conformance` would show, and returns what a test must complain about: broken
    /// laws, and cases that were skipped without being expected to. Empty is good.
    package static func complaints(
        about driver: any DriverUnderTest, running cases: [ConformanceCase], expectingSkips skips: Set<String> = []
    ) async -> [String] {
        let report = await ConformanceRunner(driver).report(on: cases)
        Self.show(report.text, as: "conformance of \(report.driver)")
        return report.complaints(expectingSkips: skips)
    }

    /// Why a test prints: a test run is where these tables are read. `BUSBAR_TEST_REPORTS` names a directory that keeps
    /// them.
    package static func show(_ text: String, as name: String) {
        print(text)
        guard let directory = ProcessInfo.processInfo.environment["BUSBAR_TEST_REPORTS"] else { return }
        let file = name.map { $0.isLetter || $0.isNumber ? $0 : "-" }
        let path = URL(filePath: directory).appending(path: "\(String(file)).txt")
        try? Data((text + "\n").utf8).write(to: path)
    }
}
