extension CommandTable {
  /// What `apus --help` prints.
  var help: String {
    """
    \(summary)

    Usage: \(program) COMMAND [ARGUMENTS]

    Commands:
    \(table(entries.map { ($0.name, $0.summary) }))

    \(program) COMMAND --help explains one command.

    """
  }

  /// What `apus config --help` prints.
  func groupHelp(_ name: String, _ summary: String, _ commands: [any Command.Type]) -> String {
    """
    \(summary)

    Usage: \(program) \(name) COMMAND [ARGUMENTS]

    Commands:
    \(table(commands.map { ($0.name, $0.summary) }))

    \(program) \(name) COMMAND --help explains one command.

    """
  }
}

extension Command {
  /// What `--help` prints for the command.
  ///
  /// - Parameter path: the words that lead to it: `apus config check`.
  static func help(path: String) -> String {
    let positionals = arguments.positionals
    var usage = [path] + positionals.map(\.usage)
    if !arguments.options.isEmpty { usage.append("[OPTIONS]") }
    var text = "\(summary)\n\nUsage: \(usage.joined(separator: " "))\n"
    if !positionals.isEmpty { text += "\nArguments:\n\(table(positionals.map { ($0.name, $0.help) }))\n" }
    let options = arguments.options.map { ($0.usage, $0.helpWithDetails) } + [("--help", "Print this text.")]
    return text + "\nOptions:\n\(table(options))\n"
  }
}

extension Positional {
  fileprivate var usage: String {
    let word = repeated ? name + "..." : name
    return required ? word : "[\(word)]"
  }
}

extension Option {
  fileprivate var usage: String { "--\(name)" + (valueName.map { " " + $0 } ?? "") }

  fileprivate var helpWithDetails: String {
    var text = help
    if case .choice(let words) = kind { text += " One of: \(words.joined(separator: ", "))." }
    if repeated { text += " May be repeated." }
    if let defaultValue { text += " Default: \(defaultValue)." }
    return text
  }
}

/// Two columns; the second is wrapped so that lines stay within 80 characters where words allow.
private func table(_ rows: [(name: String, text: String)]) -> String {
  let width = min(28, rows.map(\.name.count).max() ?? 0)
  let indent = String(repeating: " ", count: width + 4)
  return rows.map { row in
    var lines: [String] = [""]
    for word in row.text.split(separator: " ") {
      if let last = lines.last, !last.isEmpty, last.count + 1 + word.count > 80 - indent.count {
        lines.append(String(word))
      } else {
        lines[lines.count - 1] += (lines.last == "" ? "" : " ") + word
      }
    }
    let isWide = row.name.count > width
    let padding = isWide ? "\n" + indent : String(repeating: " ", count: width - row.name.count + 2)
    return "  " + row.name + padding + lines.joined(separator: "\n" + indent)
  }.joined(separator: "\n")
}
