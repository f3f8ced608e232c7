// Colours for the words of programs in the pages' snippets: keywords, texts, numbers, comments. Texts stay texts, never markup.

const WORDS = {
  sql: "select insert into values update delete from where and or in like limit order by set show tables databases describe kill null desc asc as count use help",
  js: "import from export const let var await async function return new if else for of in while try catch throw class extends true false null undefined typeof",
  php: "php echo function return new if else elseif foreach while as use namespace class public private static try catch throw true false null require require_once",
  python: "import from as with def return if else elif for in while try except raise class True False None lambda print async await",
  sh: "if then else fi for do done while in case esac export sudo mysql curl cat echo docker npm pip php node python3 cargo git scripts/run encke",
};
const SAME = { javascript: "js", html: "js", ts: "js", tsx: "js", jsx: "js", vue: "js", json: "js", bash: "sh", shell: "sh", console: "sh", py: "python", go: "js", java: "js",
  kotlin: "js", swift: "js", dart: "js", rust: "js", ini: "ini", nginx: "ini", yaml: "ini", toml: "ini", env: "ini" };

/** Comments first, since a quote in one begins no text. */
const COMMENTS = {
  sql: "--[^\\n]*", js: "//(?!/)[^\\n]*|/\\*[^]*?\\*/|<!--[^]*?-->", php: "//[^\\n]*|#[^\\n]*|/\\*[^]*?\\*/", python: "#[^\\n]*", sh: "(?<=^|\\s)#[^\\n]*",
  ini: "(?<=^|\\s)[#;][^\\n]*",
};
const TEXTS = "\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|''|[^'\\\\\\n])*'|`(?:\\\\.|[^`\\\\])*`";

const made = new Map();

function expression(language) {
  if (!made.has(language)) {
    const words = WORDS[language]?.split(" ").join("|");
    const parts = [`(?<c>${COMMENTS[language] ?? "(?!)"})`, `(?<s>${TEXTS})`,
      `(?<k>(?<![\\w$-])(?:${words ?? "(?!)"})(?![\\w-]))`, "(?<n>(?<![\\w.#-])\\d+(?:\\.\\d+)*(?![\\w-]))"];
    made.set(language, new RegExp(parts.join("|"), language === "sql" ? "gmi" : "gm"));
  }
  return made.get(language);
}

/** Shows a program's text in an element, in colours. */
export function colour(place, text, language) {
  const known = SAME[language] ?? language;
  if (!COMMENTS[known]) {
    place.textContent = text;
    return;
  }
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(expression(known))) {
    if (!match[0]) continue;
    const [kind] = Object.entries(match.groups).find(([, found]) => found !== undefined);
    parts.push(text.slice(at, match.index), Object.assign(document.createElement("span"), { className: kind, textContent: match[0] }));
    at = match.index + match[0].length;
  }
  place.replaceChildren(...parts, text.slice(at));
}
