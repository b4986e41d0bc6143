import ApusForesight
import Testing

@Suite struct CSVTableTests {
  @Test func quotedFieldsHoldCommasQuotesAndLineEnds() throws {
    let table = try CSVTable("a,b,c\r\n1,\"x, \"\"y\"\"\nz\",3\r\n,,\n", name: "t.csv")
    #expect(table.columns == ["a", "b", "c"])
    #expect(table.rows.map(\.fields) == [["1", "x, \"y\"\nz", "3"], ["", "", ""]])
    #expect(table.rows.map(\.line) == [2, 4])
    #expect(table.field("b", of: table.rows[0]) == "x, \"y\"\nz")
    #expect(table.field("missing", of: table.rows[0]).isEmpty)
  }

  @Test func writtenLinesReadBack() throws {
    let fields = ["plain", "with, comma", "with \"quotes\"", "two\nlines", ""]
    let text = CSVTable.line(["a", "b", "c", "d", "e"]) + CSVTable.line(fields)
    #expect(try CSVTable(text, name: "t.csv").rows[0].fields == fields)
  }

  @Test func aCarriageReturnAloneEndsALine() throws {
    let table = try CSVTable("a,b\r1,2\r3,4", name: "t.csv")
    #expect(table.columns == ["a", "b"] && table.rows.map(\.fields) == [["1", "2"], ["3", "4"]])
    #expect(table.rows.map(\.line) == [2, 3])
  }

  @Test func aByteOrderMarkIsNoPartOfTheFirstName() throws {
    #expect(try CSVTable("\u{FEFF}a,b\n1,2\n", name: "t.csv").columns == ["a", "b"])
  }

  @Test(arguments: [
    ("", "t.csv:1: is empty"),
    ("a,b\n1,2,3\n", "t.csv:2: has 3 fields, the header names 2"),
    ("a,a\n", "t.csv:1: the column a stands twice"),
    ("a,b\n1,\"2\n", "t.csv:2: column 2 lacks its closing quote"),
    ("a,b\n1,x\"y\n", "t.csv:2: column 2 has a quote inside"),
    ("a,b\n\"1\"2,3\n", "t.csv:2: column 1 goes on after its closing quote"),
  ])
  func faultsNameLineAndColumn(text: String, start: String) {
    let error = #expect(throws: CSVTable.Fault.self) { try CSVTable(text, name: "t.csv") }
    #expect(error?.description.hasPrefix(start) == true, "\(error?.description ?? "")")
  }
}
