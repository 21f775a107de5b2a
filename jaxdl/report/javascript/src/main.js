// The script of the report page. Each part starts with one line.
import { start as startLive } from './live/main.js';
import { start as startCharts } from './page/charts.js';
import { start as startCommands } from './page/commands.js';
import { start as startContents } from './page/contents.js';
import { start as startEnlarging } from './page/enlarge.js';
import { start as startMap } from './page/map.js';
import { start as startScrolling } from './page/scrolling.js';
import { start as startTables } from './page/tables.js';
import { start as startTry } from './try/main.js';

startTry();
startCommands();
startCharts();
startMap();
startContents();
startEnlarging();
startTables();
startScrolling();
startLive(); // last: it restores the state of the address
