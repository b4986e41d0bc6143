import Testing
import apus_cli

private let specification = ArgumentsSpecification(
  positionals: [
    Positional("FILE", help: "A file."), Positional("MORE", required: false, repeated: true, help: "More."),
  ],
  options: [
    .value("steps", "N", .integer(1...Int.max), default: "10", help: "Steps."),
    .value("rate", "X", .number, help: "Rate."),
    .value("set", "KEY=VALUE", repeated: true, help: "Override."),
    .value("format", "FORMAT", .choice(["text", "json"]), default: "text", help: "Format."),
    .flag("quiet", help: "Say less."),
  ])

private enum Format: String { case text, json }

@Suite struct ArgumentsParserTests {
  private func parse(_ words: String...) throws(UsageError) -> ParsedArguments {
    try ArgumentsParser.parse(words, specification)
  }

  @Test func values() throws {
    let a = try parse(
      "--set", "a=1", "file", "--steps=3", "--quiet", "--set=b=2", "m1", "--rate", "-2.5", "--", "--m2", "-")
    #expect(a.required("FILE") == "file")
    #expect(a.all("MORE") == ["m1", "--m2", "-"])
    #expect(a.all("set") == ["a=1", "b=2"])
    #expect(a.integer("steps") == 3)
    #expect(a.number("rate") == -2.5)
    #expect(a.flag("quiet"))
    #expect(a.choice("format", Format.self) == .text)
  }

  @Test func absent() throws {
    let a = try parse("file")
    #expect(a.integer("steps") == 10)
    #expect(a.number("rate") == nil)
    #expect(a.all("set") == [] && a.all("MORE") == [])
    #expect(!a.flag("quiet"))
  }

  @Test(arguments: [
    ([], "FILE is missing; --help explains the arguments"),
    (["f", "--stesp", "3"], "unknown option --stesp; did you mean --steps?"),
    (
      ["f", "--zzzzzz"],
      "unknown option --zzzzzz; valid are --steps, --rate, --set, --format, --quiet or --help"
    ),
    (["f", "-q"], "unknown option -q; options are written in full with two dashes"),
    (["f", "--steps"], "--steps has no value; write --steps N"),
    (["f", "--steps", "--quiet"], "--steps has no value; write --steps N"),
    (["f", "--steps", "three"], "--steps is \"three\"; use a whole number of 1 or more"),
    (["f", "--steps", "0"], "--steps is \"0\"; use a whole number of 1 or more"),
    (["f", "--rate", "nan"], "--rate is \"nan\"; use a number"),
    (["f", "--format", "jsn"], "--format is \"jsn\"; did you mean json? valid are text or json"),
    (["f", "--steps", "1", "--steps", "2"], "--steps is given twice; keep one"),
    (["f", "--quiet=yes"], "--quiet takes no value; write --quiet alone"),
    (["f", "--quiet", "--quiet"], "--quiet is given twice; keep one"),
  ])
  func mistakes(words: [String], line: String) {
    let error = #expect(throws: UsageError.self) { try ArgumentsParser.parse(words, specification) }
    #expect(error?.description == line)
  }

  @Test func unexpectedArgument() {
    let error = #expect(throws: UsageError.self) {
      try ArgumentsParser.parse(
        ["a", "b"], ArgumentsSpecification(positionals: [Positional("FILE", help: "A file.")]))
    }
    #expect(error?.description == "unexpected argument \"b\"; quote a value that has spaces")
  }
}
