/// "did you mean" for a misspelt name.
enum Suggestion {
    /// `; did you mean 'port'?` when one of `names` is near, else the whole list.
    static func text(for name: String, among names: [String]) -> String {
        let nearest = names.map { ($0, Self.distance(name, $0)) }.min { $0.1 < $1.1 }
        if let (candidate, distance) = nearest, distance <= max(2, name.count / 4) {
            return "; did you mean '\(candidate)'?"
        }
        return "; known are \(names.joined(separator: ", "))"
    }

    /// Number of single-character edits between two names; names over 64 characters count as far apart.
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.lowercased()), Array(right.lowercased()))
        guard left.count <= 64, right.count <= 64 else { return .max }
        var row = Array(0...right.count)
        for (i, character) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let replaced = diagonal + (character == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
