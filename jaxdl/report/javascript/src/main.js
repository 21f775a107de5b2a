// The script of the report page. Each part starts with one line.
import { start as startCharts } from './page/charts.js';
import { start as startCommands } from './page/commands.js';
import { start as startMap } from './page/map.js';

startCommands();
startCharts();
startMap();
