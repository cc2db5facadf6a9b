// The theme follows the system until the reader chooses; the choice is kept where the browser lets
// a file keep it.

function themeSwitch() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = {
    get: () => {
      try {
        return localStorage.getItem("tensorcast-theme");
      } catch {
        return null;
      }
    },
    set: (theme) => {
      try {
        localStorage.setItem("tensorcast-theme", theme);
      } catch {
        // a browser that keeps nothing for files
      }
    },
  };
  const control = button("Dark", () => {
    const theme = isDark() ? "light" : "dark";
    kept.set(theme);
    apply(theme);
  });
  control.setAttribute("role", "switch");
  control.setAttribute("aria-label", "Dark theme");
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const apply = (theme) => {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    control.setAttribute("aria-checked", String(isDark()));
  };
  dark.addEventListener("change", () => apply(null));
  apply(kept.get());
  return control;
}
