import ApusReport
import Testing

@Test func tableAlignsTextLeftAndNumbersRight() {
  var table = TextTable([.text("layout"), .number("tokens/s"), .number("memory"), .text("why")])
  table.add(["dp2", "12,040", "3.1 GiB", ""])
  table.add(["tp2 with sequence", "998", "2.45 GiB", "fits"])
  #expect(
    table.description == """
      layout             tokens/s    memory  why
      -----------------  --------  --------  ----
      dp2                  12,040   3.1 GiB
      tp2 with sequence       998  2.45 GiB  fits

      """)
}

@Test func tableCountsWideCharactersTwice() {
  var table = TextTable([.text("a"), .number("b")])
  table.add(["漢字", "1"])
  table.add(["é", "22"])
  #expect(table.description == "a      b\n----  --\n漢字   1\né     22\n")
}

@Test func emptyTableIsItsHead() {
  #expect(TextTable([.text("name")]).description == "name\n----\n")
}
