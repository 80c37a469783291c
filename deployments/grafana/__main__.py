"""Writes the dashboards, rules and tables again, after a change of the catalogue or of a panel."""

from deployments.grafana.made import FOLDER, made

if __name__ == "__main__":
    for path, text in made().items():
        file = FOLDER / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(path)
