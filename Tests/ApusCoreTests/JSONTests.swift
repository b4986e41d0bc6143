import ApusCore
import Testing

private func parse(
  _ bytes: [UInt8], duplicateKeys: JSONValue.DuplicateKeys = .refused
) throws(JSONFault) -> JSONValue {
  try bytes.withUnsafeBufferPointer { bytes throws(JSONFault) in
    try JSONValue(parsing: UnsafeRawBufferPointer(bytes), duplicateKeys: duplicateKeys)
  }
}

private func parse(_ text: String) throws(JSONFault) -> JSONValue { try parse(Array(text.utf8)) }

@Suite struct JSONTests {
  @Test func everyKindOfValue() throws {
    let value = try parse(
      #" { "a" : [ 1 , -2.50 , 1e3, 0 ] ,"b":{},"c":[],"d":null,"e":true,"f":false,"":"x"}"# + "\r\n\t")
    let expected = JSONValue.object([
      JSONMember("a", .array([.number("1"), .number("-2.50"), .number("1e3"), .number("0")])),
      JSONMember("b", .object([])), JSONMember("c", .array([])), JSONMember("d", .null),
      JSONMember("e", .bool(true)), JSONMember("f", .bool(false)), JSONMember("", .string("x")),
    ])
    #expect(value == expected)
    #expect(value["e"]?.bool == true && value["d"]?.isNull == true && value["g"] == nil)
    #expect(value["a"]?.integers == nil && value["a"]?.array?.map(\.double) == [1, -2.5, 1000, 0])
    #expect(value["a"]?.array?.map(\.integer) == [1, nil, nil, 0])
    #expect(try parse("[9223372036854775807, -1]").integers == [Int.max, -1])
    #expect(try parse("9223372036854775808").integer == nil)
  }

  @Test func escapesAndScalarsComeBackExactly() throws {
    let text = "\"" + #"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\uDE00"# + " é日本😀 e\u{301}\""
    let expected = "\"\\/\u{8}\u{C}\n\r\tA\u{E9}\u{1F600} é日本😀 e\u{301}"
    #expect(try Array(#require(parse(text).string).utf8) == Array(expected.utf8))
  }

  @Test(arguments: [
    ("", "unexpected end", 0), ("  ", "unexpected end", 2), ("[1", "expected a comma or ]", 2),
    ("[1,]", "unexpected byte 93", 3), ("[1 2]", "expected a comma or ]", 3), ("{]", "expected a key", 1),
    ("{\"a\" 1}", "expected a colon", 5), ("{\"a\":1,}", "expected a key", 7),
    ("{\"a\":1", "expected a comma or }", 6), ("1 2", "more text after the end of the value", 2),
    ("01", "a number with a leading zero", 0), ("-", "expected a digit", 1), ("+1", "unexpected byte 43", 0),
    (".5", "unexpected byte 46", 0), ("1.", "expected a digit", 2), ("1e", "expected a digit", 2),
    ("nul", "unknown word", 3), ("tRue", "unknown word", 1), ("NaN", "unexpected byte 78", 0),
    ("[1,\0]", "unexpected byte 0", 3),
  ])
  func faultsSayWhatAndWhere(text: String, problem: String, offset: Int) {
    #expect(throws: JSONFault(problem: problem, offset: offset)) { try parse(text) }
  }

  @Test(arguments: [
    ("\"a", "a string without an end", 2), ("\"\\x\"", "an unknown escape", 2),
    ("\"\\u12g4\"", "expected four hexadecimal digits", 5), ("\"\\ud800\"", "a lone surrogate", 7),
    ("\"\\ud800\\n\"", "a lone surrogate", 8), ("\"\\udc00\"", "a lone surrogate", 7),
    ("\"\\ud800\\u0041\"", "a lone surrogate", 13), ("\"a\nb\"", "a control character inside a string", 2),
    ("\"\\n\nb\"", "a control character inside a string", 3),
  ])
  func faultsInStrings(text: String, problem: String, offset: Int) {
    #expect(throws: JSONFault(problem: problem, offset: offset)) { try parse(text) }
  }

  @Test(arguments: [[0x80], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]])
  func stringsMustBeUTF8(bad: [UInt8]) {
    for prefix in [[], Array(#"\n"#.utf8)] {
      let fault = #expect(throws: JSONFault.self) { try parse([0x22] + prefix + bad + [0x22]) }
      #expect(fault?.problem == "a string that is not UTF-8")
    }
  }

  @Test func keysThatStandTwice() throws {
    let text = #"{"a":{"b":1,"c":2,"b":3}}"#
    #expect(throws: JSONFault(problem: "the key \"b\" stands twice", offset: 21, duplicateKey: "b")) {
      try parse(text)
    }
    let kept = try parse(Array(text.utf8), duplicateKeys: .kept)
    #expect(kept["a"]?["b"]?.integer == 3 && kept["a"]?.members?.map(\.key) == ["b", "c", "b"])
    // The same text to Swift, other bytes to everybody else.
    #expect(try parse("{\"\u{E9}\":1,\"e\u{301}\":2}").members?.count == 2)
  }

  @Test(arguments: [("[", "]"), ("{\"a\":", "}")])
  func nestingIsLimited(opening: String, closing: String) throws {
    func nested(_ depth: Int) -> String {
      String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)
    }
    _ = try parse(nested(128))
    let fault = #expect(throws: JSONFault.self) { try parse(nested(129)) }
    #expect(fault?.problem == "too deep nesting" && fault?.offset == 128 * opening.utf8.count)
    #expect(throws: JSONFault.self) { try parse(String(repeating: opening, count: 1_000_000)) }
  }

  @Test func writtenTextReadsTheSame() throws {
    var every = String.UnicodeScalarView()
    every.append(contentsOf: (0..<0x300).compactMap { Unicode.Scalar($0) })
    let value = JSONValue.object([
      JSONMember(String(every), .string(String(every))),
      JSONMember("n", .array([.number(-3), .number(0.5), .number(1e300)])),
      JSONMember("e", .object([])), JSONMember("f", .array([.bool(true), .null, .array([])])),
    ])
    #expect(try parse(value.text()) == value)
    #expect(JSONValue.quoted("a\"\\\n\u{1}\u{1F}é/") == #""a\"\\\n\u0001\u001fé/""#)
    let pair = JSONValue.object([JSONMember("a", .array([.number(1), .number(2.0)]))])
    #expect(pair.text() == "{\n  \"a\": [\n    1,\n    2.0\n  ]\n}")
  }

  /// Any bytes give a value or a fault inside the text, never a crash.
  @Test func damagedTextsNeverCrash() throws {
    let sound = Array(#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00",{"b":null,"c":[true,false]}],"d":"é"}"#.utf8)
    var random = Randomness(state: 5)
    var refused = 0
    for _ in 0..<3000 {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      do throws(JSONFault) { _ = try parse(bytes) } catch {
        refused += 1
        #expect((0...bytes.count).contains(error.offset))
      }
    }
    #expect(refused > 1000 && refused < 3000)
  }

  /// A tokenizer of 128,000 entries and 280,000 merges, such as Llama 3's.
  @Test func largeTokenizersTakeLittleTime() throws {
    var text = #"{"model":{"vocab":{"#
    text += (0..<128_000).map { "\"Ġentry\($0)\":\($0)" }.joined(separator: ",")
    text += #"},"merges":["#
    text += (0..<280_000).map { "[\"Ġen\",\"try\($0)\"]" }.joined(separator: ",")
    text += "]}}"
    let bytes = Array(text.utf8)
    var value = JSONValue.null
    let time = try ContinuousClock().measure { value = try parse(bytes) }
    #expect(value["model"]?["vocab"]?.members?.count == 128_000)
    #expect(value["model"]?["merges"]?.array?.count == 280_000)
    #if !DEBUG
      #expect(time < .seconds(2))
    #endif
  }
}

/// The same random numbers in every run (Steele, Lea and Flood 2014, "SplitMix").
private struct Randomness: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
