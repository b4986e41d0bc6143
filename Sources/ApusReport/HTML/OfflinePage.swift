/// The frame of a page that any browser shows without a network: everything it needs lies within it.
enum OfflinePage {
  /// - Parameters:
  ///   - title: escaped for HTML.
  ///   - main: the page's content.
  ///   - scripts: elements behind the content.
  static func text(title: String, style: String, main: String, scripts: String) -> String {
    """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
    style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
    <title>\(title)</title>
    <style>
    \(style)</style>
    </head>
    <body>
    <main>
    \(main)
    </main>
    \(scripts)
    </body>
    </html>

    """
  }
}
