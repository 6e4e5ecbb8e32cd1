/// What may stand in front of the parentheses of a JSONP answer.
package enum JSONPCallback {
    /// Longer names are refused.
    package static let limitBytes = 512

    /// Whether `name` is a path of identifiers with dots between them, none of which is a reserved word.
    package static func isValid(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= Self.limitBytes else { return false }
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(Self.isIdentifier)
    }

    /// Whether `name` can stand unquoted as an identifier of a script.
    static func isIdentifier(_ name: Substring) -> Bool {
        guard let first = name.unicodeScalars.first, Self.canStart(first) else { return false }
        return name.unicodeScalars.allSatisfy { Self.canStart($0) || Self.isDigit($0) }
            && !Self.reservedWords.contains(String(name))
    }

    private static func canStart(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "$" || scalar == "_" { return true }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
        default: return false
        }
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .decimalNumber
    }

    /// The keywords of ECMAScript 5, the words it keeps for later, its literals, and the globals that must not be
    /// called.
    private static let reservedWords: Set<String> = [
        "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete", "do", "else", "enum",
        "export", "extends", "false", "finally", "for", "function", "if", "implements", "import", "in", "instanceof",
        "interface", "let", "new", "null", "package", "private", "protected", "public", "return", "static", "super",
        "switch", "this", "throw", "true", "try", "typeof", "var", "void", "while", "with", "yield", "NaN",
        "undefined", "Infinity",
    ]
}
