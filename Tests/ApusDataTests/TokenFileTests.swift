import ApusData
import Foundation
import Testing

@Suite("Token files")
struct TokenFileTests {
  private func write(_ tokens: [Int32], _ format: TokenFileFormat, to url: URL) throws {
    var writer = try TokenFileWriter(path: url.path, format: format)
    try writer.append(tokens)
    try writer.finish()
  }

  @Test("the bytes are those of llm.c")
  func layout() throws {
    try withTemporaryFolder { folder in
      let url = folder.appending(path: "a.bin")
      try write([1, 258, 65535], .uint16, to: url)
      var data = try Data(contentsOf: url)
      #expect(data.count == 1024 + 6)
      #expect(Array(data[0..<12]) == [0x88, 0xd8, 0x34, 0x01, 1, 0, 0, 0, 3, 0, 0, 0])  // 20240520, 1, 3
      #expect(data[12..<1024].allSatisfy { $0 == 0 })
      #expect(Array(data[1024...]) == [1, 0, 2, 1, 255, 255])
      try write([1, 128_255], .uint32, to: url)
      data = try Data(contentsOf: url)
      #expect(Array(data[0..<12]) == [0xa1, 0xd9, 0x34, 0x01, 7, 0, 0, 0, 2, 0, 0, 0])  // 20240801, 7, 2
      #expect(Array(data[1024...]) == [1, 0, 0, 0, 0xff, 0xf4, 1, 0])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.bin"])
    }
  }

  @Test("reading gives what was written", arguments: [TokenFileFormat.uint16, .uint32])
  func reading(format: TokenFileFormat) throws {
    try withTemporaryFolder { folder in
      let url = folder.appending(path: "a.bin")
      let tokens = (0..<300_000).map { Int32($0 % 50_257) }
      try write(tokens, format, to: url)
      let file = try TokenFile(path: url.path)
      #expect(file.count == tokens.count && file.format == format && file[299_999] == tokens[299_999])
      var copy = [Int32](repeating: -1, count: 1000)
      file.copy(50_000..<51_000, to: &copy)
      #expect(copy == Array(tokens[50_000..<51_000]))
      try file.checkTokens(vocabularySize: 50_257)
      let text = message { try file.checkTokens(vocabularySize: 50_256) }
      #expect(text.contains("token 50,256 at position 50,256 is beyond the vocabulary of 50,256"))
      #expect(
        TokenFileFormat(vocabularySize: 65536) == .uint16 && TokenFileFormat(vocabularySize: 65537) == .uint32
      )
    }
  }

  @Test("damaged files are refused with numbers")
  func damage() throws {
    try withTemporaryFolder { folder in
      let url = folder.appending(path: "a.bin")
      try write(Array(0..<100), .uint16, to: url)
      let whole = try Data(contentsOf: url)
      func problem(_ data: Data) throws -> String {
        try data.write(to: url)
        return message { _ = try TokenFile(path: url.path) }
      }
      #expect(
        try problem(whole.dropLast()).contains(
          "truncated: the header names 100 tokens, which take 1,224 bytes, but the file has 1,223"))
      #expect(try problem(whole + [0]).contains("too long"))
      #expect(try problem(whole.prefix(1000)).contains("1,000 bytes are too few"))
      #expect(try problem(Data()).contains("0 bytes"))
      #expect(try problem(Data([9]) + whole.dropFirst()).contains("magic number"))
      #expect(
        try problem(whole.prefix(4) + Data([2]) + whole.dropFirst(5)).contains("version 2 instead of 1"))
    }
  }

  @Test("an unfinished file leaves nothing behind")
  func unfinished() throws {
    try withTemporaryFolder { folder in
      do {
        var writer = try TokenFileWriter(path: folder.appending(path: "a.bin").path, format: .uint16)
        try writer.append([1, 2, 3])
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
      #expect(
        message { _ = try TokenFileWriter(path: "/nowhere/a.bin", format: .uint16) }.contains(
          "/nowhere/a.bin"))
    }
  }
}
